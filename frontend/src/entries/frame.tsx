import { FramePage } from "../features/frame/FramePage";
import "../features/frame/frame.css";
import { mount } from "./island";

mount((boot) => <FramePage boot={boot} />);
