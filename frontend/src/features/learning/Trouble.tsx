/** What went wrong with a question, in the server's words. */
import { sentenceOf } from "../../api/client";
import { Notice } from "../../ui/parts";

export function Trouble({ error }: { error: unknown }) {
  const { detail, hint } = sentenceOf(error);
  return (
    <Notice level="stopped">
      <p>{detail}</p>
      <p>{hint}</p>
    </Notice>
  );
}
