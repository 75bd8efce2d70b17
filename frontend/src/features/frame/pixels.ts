/** Grey values of a picture as a browser shows it, small enough to be compared while somebody waits. */
import { align, type Alignment, type Grey } from "../../domain/alignment";

const LONGEST_SIDE_PX = 480;

export interface Picture {
  width: number;
  height: number;
}

export async function fetchPicture(url: string, signal: AbortSignal): Promise<Blob> {
  const response = await fetch(url, { credentials: "same-origin", signal });
  if (!response.ok) throw new Error(`The picture answered with status ${response.status}.`);
  return response.blob();
}

/** Its size as it is shown. Fails where the browser cannot draw it. */
export async function sizeOf(blob: Blob): Promise<Picture> {
  const bitmap = await createImageBitmap(blob);
  const size = { width: bitmap.width, height: bitmap.height };
  bitmap.close();
  return size;
}

/** How `frame` lies on `template`, in pixels of the frame, whose size is `whole`. */
export async function alignment(frame: Blob, template: Blob, whole: Picture): Promise<Alignment> {
  const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(whole.width, whole.height));
  const size = { width: Math.round(whole.width * scale), height: Math.round(whole.height * scale) };
  const found = align(await grey(frame, size), await grey(template, size));
  return { ...found, dx: found.dx / scale, dy: found.dy / scale };
}

async function grey(blob: Blob, { width, height }: Picture): Promise<Grey> {
  const bitmap = await createImageBitmap(blob, {
    resizeWidth: width,
    resizeHeight: height,
    resizeQuality: "medium",
  });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("This browser draws no pictures.");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const values = new Float32Array(width * height);
  for (let n = 0; n < values.length; n++) {
    values[n] = 0.299 * (data[4 * n] ?? 0) + 0.587 * (data[4 * n + 1] ?? 0) + 0.114 * (data[4 * n + 2] ?? 0);
  }
  return { width, height, data: values };
}
