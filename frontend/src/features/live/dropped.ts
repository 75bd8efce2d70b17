/** The files in a drop, folders opened to any depth. Knows the browser's drag and drop, nothing else. */

/** Files that systems leave in folders and that nobody means to inspect. */
export function withoutHidden<F extends { name: string }>(files: readonly F[]): F[] {
  return files.filter(({ name }) => !name.startsWith(".") && name !== "Thumbs.db" && name !== "desktop.ini");
}

export async function filesFromDrop(data: DataTransfer): Promise<File[]> {
  // Entries must be taken before the first await: the browser empties the list afterwards.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return withoutHidden([...data.files]);
  const found = await Promise.all(entries.map(filesIn));
  return withoutHidden(found.flat());
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  // A reader hands out at most 100 entries at a time and an empty list at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (batch.length === 0) return found;
    found.push(...(await Promise.all(batch.map(filesIn))).flat());
  }
}
