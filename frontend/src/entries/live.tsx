import { LivePage } from "../features/live/LivePage";
import "../features/live/live.css";
import { mount } from "./island";

mount((boot) => <LivePage boot={boot} />);
