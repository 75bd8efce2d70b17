"""The trainer of kind `detector`: a YOLO network learns a sealed dataset. Begin with `run.py`."""
