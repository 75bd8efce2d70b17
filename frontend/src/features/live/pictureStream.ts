/**
 * The browser's side of a picture stream: take stills from a camera or a video file and hand them to the
 * sender, which knows how many may be under way. A camera skips what does not fit; a file waits.
 */
import { ApiError } from "../../api/client";
import { newKey } from "../../domain/keys";
import { StreamSender, type StreamCounts, type StreamRefusal } from "../../domain/streamSender";
import { ReconnectingSocket, socketUrl, type ConnectionState } from "../../live/socket";

const JPEG_QUALITY = 0.9;
const CAMERA_WAITING = 2;

export interface PictureStreamState {
  connection: ConnectionState;
  counts: StreamCounts;
  lastRefusal: StreamRefusal | null;
  /** The file is at its end and everything is answered. */
  ended: boolean;
}

interface Options {
  station: number;
  video: HTMLVideoElement;
  ratePerS: number;
  onState: (state: PictureStreamState) => void;
}

export class PictureStream {
  private readonly sender: StreamSender;
  private readonly socket: ReconnectingSocket;
  private readonly canvas = document.createElement("canvas");
  private connection: ConnectionState = "connecting";
  private lastRefusal: StreamRefusal | null = null;
  private atEnd = false;
  private readonly stopped = new AbortController();
  private changed: (() => void) | null = null;

  constructor(private readonly options: Options) {
    this.sender = new StreamSender(
      {
        transmit: ({ key, body, partId, capturedAt }) => {
          this.socket.send(JSON.stringify({ type: "frame", key, part_id: partId, captured_at: capturedAt }));
          this.socket.send(body);
        },
        onStored: () => undefined,
        onRefused: (refusal) => (this.lastRefusal = refusal),
        resumeIn: (ms) => setTimeout(() => this.sender.resume(), ms),
        onChange: () => this.tell(),
      },
      CAMERA_WAITING,
    );
    this.socket = new ReconnectingSocket({
      url: () => socketUrl(`/ws/v1/stations/${options.station}/stream`, location),
      onMessage: (message) => this.sender.receive(message),
      onState: (state) => this.connected(state),
    });
  }

  /** Resolves once pictures flow. Throws ApiError in words when there is no camera or the video cannot be read. */
  async start(source: "camera" | File): Promise<void> {
    await (source === "camera" ? this.openCamera() : this.openFile(source));
    this.socket.start();
    void (source === "camera" ? this.followCamera() : this.readFile());
  }

  stop(): void {
    this.stopped.abort();
    this.changed?.();
    this.socket.stop();
    const { video } = this.options;
    const media = video.srcObject;
    if (media instanceof MediaStream) for (const track of media.getTracks()) track.stop();
    if (video.src !== "") URL.revokeObjectURL(video.src);
    video.srcObject = null;
    video.removeAttribute("src");
  }

  retryNow(): void {
    this.socket.retryNow();
  }

  private async openCamera(): Promise<void> {
    // Browsers hand out cameras to https and to localhost only.
    if (!window.isSecureContext) {
      throw new ApiError(
        "insecure",
        "The browser gives no camera to this address.",
        "Open AIVD by https or on localhost.",
        0,
      );
    }
    try {
      const constraints = { video: { width: { ideal: 1280 }, facingMode: "environment" }, audio: false };
      this.options.video.srcObject = await navigator.mediaDevices.getUserMedia(constraints);
      await this.options.video.play();
    } catch {
      throw new ApiError(
        "no_camera",
        "No camera could be opened.",
        "Connect one and allow this page to use it.",
        0,
      );
    }
  }

  private async openFile(file: File): Promise<void> {
    const { video } = this.options;
    video.src = URL.createObjectURL(file);
    try {
      await happened(video, "loadeddata");
    } catch {
      const hint = "Use MP4 (H.264), WebM or Ogg.";
      throw new ApiError("bad_video", `This browser cannot play '${file.name}'.`, hint, 0);
    }
  }

  private async followCamera(): Promise<void> {
    while (!this.isStopped()) {
      await pause(1000 / this.options.ratePerS);
      if (this.connection === "open") await this.offerStill();
    }
  }

  /** Every still at the chosen rate, none skipped: the file waits for the line, not the other way round. */
  private async readFile(): Promise<void> {
    const { video, ratePerS } = this.options;
    for (let at = 0; at < video.duration; at += 1 / ratePerS) {
      while (!this.sender.hasRoom && !this.isStopped()) await this.nextChange();
      if (this.isStopped()) return;
      const arrived = happened(video, "seeked");
      video.currentTime = at;
      await arrived;
      await this.offerStill();
      await pause(1000 / ratePerS);
    }
    while (!this.sender.isIdle && !this.isStopped()) await this.nextChange();
    this.atEnd = true;
    this.socket.stop();
    this.tell();
  }

  private async offerStill(): Promise<void> {
    const { video } = this.options;
    if (video.videoWidth === 0 || this.isStopped()) return;
    this.canvas.width = video.videoWidth;
    this.canvas.height = video.videoHeight;
    this.canvas.getContext("2d")?.drawImage(video, 0, 0);
    const body = await new Promise<Blob | null>((done) =>
      this.canvas.toBlob(done, "image/jpeg", JPEG_QUALITY),
    );
    if (body === null || this.isStopped()) return;
    this.sender.offer({ key: newKey(), body, partId: null, capturedAt: new Date().toISOString() });
  }

  private connected(state: ConnectionState): void {
    this.connection = state;
    if (state === "waiting") this.sender.disconnected();
    this.tell();
  }

  private isStopped(): boolean {
    return this.stopped.signal.aborted;
  }

  private nextChange(): Promise<void> {
    return new Promise((resolve) => (this.changed = resolve));
  }

  private tell(): void {
    this.changed?.();
    this.changed = null;
    if (this.isStopped()) return;
    const { connection, lastRefusal, atEnd: ended } = this;
    this.options.onState({ connection, counts: this.sender.counts, lastRefusal, ended });
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function happened(video: HTMLVideoElement, type: "loadeddata" | "seeked"): Promise<void> {
  return new Promise((resolve, reject) => {
    video.addEventListener(type, () => resolve(), { once: true });
    video.addEventListener("error", () => reject(new Error(`no ${type}`)), { once: true });
  });
}
