// One call: token, offer, media and the data channel. Tells what happens by events:
// `live`, `caption`, `unstable` (true or false), `over` (reason, number).

const ALIVE_MS = 1000;
const UNSTABLE_MS = 3500;
const LOST_MS = 10000;
const CONNECT_MS = 20000;

export class Refused extends Error {
  constructor(code) {
    super(code);
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
    this.waiting = [];
    this.heardAt = 0;
    this.unstable = false;
    this.buffer = { delay: 0, count: 0, ms: 100 };
  }

  async open() {
    const begun = await this.ask("POST", "/calls", {});
    const peer = (this.peer = new RTCPeerConnection({ iceServers: begun.ice_servers, bundlePolicy: "max-bundle" }));
    this.audioSender = peer.addTransceiver(this.microphone.getAudioTracks()[0], {
      direction: "sendrecv",
      streams: [this.microphone],
    }).sender;
    if (this.video) this.videoSender = peer.addTransceiver("video", { direction: "sendonly" }).sender;
    peer.ontrack = ({ track }) => {
      if (track.kind === "audio") this.voice.srcObject = new MediaStream([track]);
    };
    peer.onicecandidate = ({ candidate }) => candidate && this.found(candidate);
    peer.onconnectionstatechange = () => this.changed();
    this.channel = peer.createDataChannel("vita");
    this.channel.onmessage = ({ data }) => this.told(JSON.parse(data));
    this.patience = setTimeout(() => this.end("unreachable"), CONNECT_MS);

    await peer.setLocalDescription();
    const { peer: id, sdp } = await this.ask("POST", "/offer", {
      call: begun.call,
      token: begun.token,
      sdp: peer.localDescription.sdp,
    });
    if (this.over) return;
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
    if (!answer.ok) throw new Refused(told.code || "failed");
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
    if (state === "connected" && !this.timer) {
      clearTimeout(this.patience);
      this.heardAt = performance.now();
      this.timer = setInterval(() => this.alive(), ALIVE_MS);
      this.dispatchEvent(new CustomEvent("live"));
    }
    if (state === "failed") this.end(this.timer ? "lost" : "unreachable");
    if (state === "closed") this.end("lost");
  }

  told(message) {
    this.heardAt = performance.now();
    if (message.type === "caption") this.dispatchEvent(new CustomEvent("caption", { detail: message }));
    if (message.type === "ended") this.end(message.reason, message.number);
    // The other side leaves without a word only when it is shut down.
    if (message.type === "signalling" && message.message?.type === "peerLeft") this.end("lost");
  }

  async alive() {
    const silent = performance.now() - this.heardAt;
    const unstable = silent > UNSTABLE_MS || this.peer.connectionState === "disconnected";
    if (unstable !== this.unstable) {
      this.unstable = unstable;
      this.dispatchEvent(new CustomEvent("unstable", { detail: unstable }));
    }
    if (silent > LOST_MS) return this.end("lost");
    await this.measure();
    this.tell({ type: "alive", playout_ms: Math.round(this.buffer.ms) });
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
    await this.videoSender.replaceTrack(stream ? stream.getVideoTracks()[0] : null);
    this.tell({ type: "camera", on: Boolean(stream) });
  }

  hangUp() {
    this.tell({ type: "bye" });
    this.end("you");
  }

  end(reason, number = "") {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    clearTimeout(this.patience);
    // What was just sent gets a moment to leave.
    setTimeout(() => this.peer?.close(), 200);
    this.dispatchEvent(new CustomEvent("over", { detail: { reason, number } }));
  }
}
