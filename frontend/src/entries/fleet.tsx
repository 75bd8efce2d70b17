import { FleetPage } from "../features/fleet/FleetPage";
import "../features/fleet/fleet.css";
import { mount } from "./island";

mount((boot) => <FleetPage boot={boot} />);
