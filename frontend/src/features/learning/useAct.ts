/** An act of a person: a refusal is said in its own words, and what is shown is asked for anew. */
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { complain } from "../../ui/toasts";

export function useAct<Input, Output>(
  act: (input: Input) => Promise<Output>,
  done: (answer: Output) => void = () => undefined,
) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: act,
    onSuccess: done,
    onError: complain,
    onSettled: () => cache.invalidateQueries(),
  });
}
