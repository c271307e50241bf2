// Microphone to model and back over one WebSocket, with captions and interruption.

const RATE = 24_000;
const MICROPHONE = `registerProcessor("microphone", class extends AudioWorkletProcessor {
  constructor() { super(); this.kept = []; }
  process([[samples]]) {
    if (samples) this.kept.push(...samples);
    if (this.kept.length >= ${RATE / 25}) this.port.postMessage(this.kept.splice(0));
    return true;
  }
});`;

const state = document.getElementById("state");
const words = document.getElementById("words");
const button = document.getElementById("talk");
const picture = document.getElementById("picture");

const toBase64 = (samples) => {
  const pcm = Int16Array.from(samples, (x) => Math.max(-1, Math.min(1, x)) * 32_767);
  return btoa(String.fromCharCode(...new Uint8Array(pcm.buffer)));
};
const fromBase64 = (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (x) => x / 32_768);
};

const dataUrl = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

function show(speaker, text) {
  const line = document.createElement("p");
  line.className = speaker;
  line.textContent = text;
  words.append(line);
}

// Plays pieces one behind the other, and knows how much of an answer was heard.
class Loudspeaker {
  constructor(context) {
    this.context = context;
    this.playing = new Set();
    this.item = null;
  }

  play(item, samples) {
    if (item !== this.item) {
      this.item = item;
      this.begun = this.end = Math.max(this.context.currentTime, this.end ?? 0);
    }
    const piece = this.context.createBufferSource();
    piece.buffer = this.context.createBuffer(1, samples.length, RATE);
    piece.buffer.copyToChannel(samples, 0);
    piece.connect(this.context.destination);
    this.end = Math.max(this.context.currentTime, this.end);
    piece.start(this.end);
    this.end += piece.buffer.duration;
    this.playing.add(piece);
    piece.onended = () => this.playing.delete(piece);
  }

  // Be quiet at once. Gives what was being said and how many milliseconds of it were heard.
  stop() {
    const heard = Math.max(0, Math.min(this.context.currentTime, this.end) - this.begun);
    const was = this.playing.size ? { item: this.item, ms: Math.floor(heard * 1000) } : null;
    this.playing.forEach((piece) => piece.stop());
    this.playing.clear();
    this.end = 0;
    return was;
  }
}

async function talk() {
  state.textContent = "connecting";
  const answer = await fetch("secret", { method: "POST" });
  if (!answer.ok) throw new Error((await answer.json()).error);
  const { url, secret } = await answer.json();
  const microphone = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: true, noiseSuppression: true },
  });
  const context = new AudioContext({ sampleRate: RATE });
  await context.resume();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([MICROPHONE], { type: "text/javascript" })));
  const ear = new AudioWorkletNode(context, "microphone");
  const loudspeaker = new Loudspeaker(context);

  const socket = new WebSocket(url, ["realtime", `openai-insecure-api-key.${secret}`]);
  const send = (type, fields) => socket.send(JSON.stringify({ type, ...fields }));
  socket.onopen = () => {
    context.createMediaStreamSource(microphone).connect(ear);
    ear.port.onmessage = ({ data }) => {
      if (socket.readyState === WebSocket.OPEN) send("input_audio_buffer.append", { audio: toBase64(data) });
    };
    picture.onchange = async () => {
      const image_url = await dataUrl(picture.files[0]);
      send("conversation.item.create", {
        item: { type: "message", role: "user", content: [{ type: "input_image", image_url }] },
      });
      show("you", "(a picture)");
    };
    picture.disabled = false;
    state.textContent = "speak";
  };
  socket.onclose = () => {
    loudspeaker.stop();
    microphone.getTracks().forEach((track) => track.stop());
    context.close();
    state.textContent = "over";
    picture.disabled = true;
    button.disabled = false;
  };
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    switch (event.type) {
      case "input_audio_buffer.speech_started": {
        const cut = loudspeaker.stop();
        if (cut) send("conversation.item.truncate", { item_id: cut.item, content_index: 0, audio_end_ms: cut.ms });
        break;
      }
      case "conversation.item.truncated":
        show("cut", `(stopped after ${event.audio_end_ms} ms)`);
        break;
      case "conversation.item.input_audio_transcription.completed":
        show("you", event.transcript);
        break;
      case "response.output_audio.delta":
        loudspeaker.play(event.item_id, fromBase64(event.delta));
        break;
      case "response.output_audio_transcript.done":
        show("vita", event.transcript);
        break;
      case "error":
        show("error", event.error.message);
        break;
    }
  };
}

button.onclick = async () => {
  button.disabled = true;
  try {
    await talk();
  } catch (error) {
    state.textContent = error.message;
    button.disabled = false;
  }
};
