import { RunsPage } from "../features/learning/RunsPage";
import "../features/learning/learning.css";
import { mount } from "./island";

mount((boot) => <RunsPage boot={boot} />);
