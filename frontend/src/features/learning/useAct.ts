/** An act of a person: a refusal is said in its own words, and what is shown is asked for anew. */
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { useMessages, type Messages } from "../../ui/toasts";

export function useAct<Input, Output>(
  act: (input: Input) => Promise<Output>,
  done: (answer: Output, say: Messages["say"]) => void = () => undefined,
) {
  const cache = useQueryClient();
  const { say, complain } = useMessages();
  return useMutation({
    mutationFn: act,
    onSuccess: (answer) => done(answer, say),
    onError: complain,
    onSettled: () => cache.invalidateQueries(),
  });
}
