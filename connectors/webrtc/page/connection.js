// One call: token, offer, media and the data channel. Tells what happens by events:
// `live`, `voice` (there is sound to hear), `caption`, `unstable` (true or false), `over` (reason, number, message).
//
// A connection that falls silent is made anew for the same call: the agent goes on where it was.

const ALIVE_MS = 1000;
const UNSTABLE_MS = 3500;
const RETRY_MS = 5000;
const RETRY_PAUSE_MS = 4000;
const LOST_MS = 14000;
const CONNECT_MS = 20000;

// Answers that another try does not change.
const FINAL = ["call_ended", "line_not_found", "foreign_page", "after_hours"];

export class Refused extends Error {
  constructor(code, message = "") {
    super(message);
    this.code = code;
  }
}

export class Connection extends EventTarget {
  constructor(line, { microphone, video, voice }) {
    super();
    this.base = `/call/${encodeURIComponent(line)}`;
    this.microphone = microphone;
    this.video = video;
    this.voice = voice;
    this.over = false;
    this.camera = null;
    this.heardAt = 0;
    this.unstable = false;
    this.triedAt = 0;
    this.legs = 0;
  }

  // The first connection. Throws `Refused`.
  async open() {
    this.patience = setTimeout(() => this.end("unreachable"), CONNECT_MS);
    await this.connect();
  }

  async connect() {
    const begun = await this.ask("POST", "/calls", this.call ? { call: this.call } : {});
    if (this.over) return;
    this.call = begun.call;
    this.peer?.close();
    this.legs += 1;
    this.id = null;
    this.waiting = [];
    this.buffer = { delay: 0, count: 0, ms: 100 };
    const peer = (this.peer = new RTCPeerConnection({ iceServers: begun.ice_servers, bundlePolicy: "max-bundle" }));
    this.audioSender = peer.addTransceiver(this.microphone.getAudioTracks()[0], {
      direction: "sendrecv",
      streams: [this.microphone],
    }).sender;
    if (this.video) {
      const shown = this.camera?.getVideoTracks()[0] ?? "video";
      this.videoSender = peer.addTransceiver(shown, { direction: "sendonly" }).sender;
    }
    peer.ontrack = ({ track }) => {
      if (track.kind !== "audio") return;
      this.voice.srcObject = new MediaStream([track]);
      this.dispatchEvent(new CustomEvent("voice"));
    };
    peer.onicecandidate = ({ candidate }) => candidate && this.found(candidate);
    peer.onconnectionstatechange = () => peer === this.peer && this.changed();
    const channel = (this.channel = peer.createDataChannel("vita"));
    channel.onopen = () => this.camera && this.tell({ type: "camera", on: true });
    channel.onmessage = ({ data }) => channel === this.channel && this.told(JSON.parse(data));

    await peer.setLocalDescription();
    const { peer: id, sdp } = await this.ask("POST", "/offer", {
      call: begun.call,
      token: begun.token,
      sdp: peer.localDescription.sdp,
    });
    if (this.over || peer !== this.peer) return;
    await peer.setRemoteDescription({ type: "answer", sdp });
    this.id = id;
    await this.offerCandidates();
  }

  async ask(method, path, body) {
    let answer;
    try {
      answer = await fetch(this.base + path, {
        method,
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Refused("lost");
    }
    if (answer.status === 204) return {};
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refused(told.code || "failed", told.message);
    return told;
  }

  found(candidate) {
    this.waiting.push({
      candidate: candidate.candidate,
      sdpMid: candidate.sdpMid || "",
      sdpMLineIndex: candidate.sdpMLineIndex || 0,
    });
    if (this.id) this.offerCandidates();
  }

  async offerCandidates() {
    const candidates = this.waiting.splice(0);
    if (!candidates.length) return;
    // A candidate that is not taken only leaves one way less to connect.
    await this.ask("PATCH", "/offer", { peer: this.id, candidates }).catch(() => {});
  }

  changed() {
    const state = this.peer.connectionState;
    if (state === "connected") {
      clearTimeout(this.patience);
      this.heardAt = performance.now();
      if (!this.timer) {
        this.timer = setInterval(() => this.alive(), ALIVE_MS);
        this.dispatchEvent(new CustomEvent("live"));
      }
    }
    if (state === "failed" || state === "closed") {
      if (this.timer) this.again();
      else this.end("unreachable");
    }
  }

  told(message) {
    this.heardAt = performance.now();
    if (message.type === "caption") {
      // Turns are counted anew on every connection.
      const turn = `${this.legs}-${message.turn}`;
      this.dispatchEvent(new CustomEvent("caption", { detail: { ...message, turn } }));
    }
    if (message.type === "ended") this.end(message.reason, message.number);
  }

  async alive() {
    const silent = performance.now() - this.heardAt;
    const unstable = silent > UNSTABLE_MS || this.peer.connectionState === "disconnected";
    if (unstable !== this.unstable) {
      this.unstable = unstable;
      this.dispatchEvent(new CustomEvent("unstable", { detail: unstable }));
    }
    if (silent > LOST_MS) return this.end("lost");
    if (silent > RETRY_MS) return this.again();
    await this.measure();
    this.tell({ type: "alive", playout_ms: Math.round(this.buffer.ms) });
  }

  // Connect anew, as often as there is time for.
  async again() {
    const now = performance.now();
    if (this.over || now - this.triedAt < RETRY_PAUSE_MS) return;
    this.triedAt = now;
    await this.connect().catch((error) => FINAL.includes(error.code) && this.end("lost"));
  }

  // How long sound waits in this browser before it is heard.
  async measure() {
    const report = await this.peer.getStats();
    for (const each of report.values()) {
      if (each.type !== "inbound-rtp" || each.kind !== "audio") continue;
      const delay = (each.jitterBufferDelay || 0) - this.buffer.delay;
      const count = (each.jitterBufferEmittedCount || 0) - this.buffer.count;
      if (count <= 0) continue;
      this.buffer = { delay: each.jitterBufferDelay, count: each.jitterBufferEmittedCount, ms: (1000 * delay) / count };
    }
  }

  tell(message) {
    if (this.channel?.readyState === "open") this.channel.send(JSON.stringify(message));
  }

  async useMicrophone(stream) {
    this.microphone = stream;
    await this.audioSender.replaceTrack(stream.getAudioTracks()[0]);
  }

  async useCamera(stream) {
    this.camera = stream;
    await this.videoSender.replaceTrack(stream ? stream.getVideoTracks()[0] : null);
    this.tell({ type: "camera", on: Boolean(stream) });
  }

  hangUp() {
    this.tell({ type: "bye" });
    this.end("you");
  }

  end(reason, number = "", message = "") {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    clearTimeout(this.patience);
    // What was just sent gets a moment to leave.
    setTimeout(() => this.peer?.close(), 200);
    this.dispatchEvent(new CustomEvent("over", { detail: { reason, number, message } }));
  }
}
