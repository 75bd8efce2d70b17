import { DatasetsPage } from "../features/learning/DatasetsPage";
import "../features/learning/learning.css";
import { mount } from "./island";

mount((boot) => <DatasetsPage boot={boot} />);
