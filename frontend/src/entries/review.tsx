import { ReviewPage } from "../features/review/ReviewPage";
import "../features/frame/frame.css";
import "../features/review/review.css";
import { mount } from "./island";

mount((boot) => <ReviewPage boot={boot} />);
