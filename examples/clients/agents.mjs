// Asks a recorded question with @openai/agents: node examples/clients/agents.mjs q.wav a.wav
//
// Needs `npm install @openai/agents zod ws` and a running `vita model serve`. The question is a WAV file
// of 16-bit samples at 24 kHz with one channel. Further arguments, in this order: URL, key, instructions.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } from "@openai/agents/realtime";

const [question, answer, url, key, instructions] = process.argv.slice(2);
const address = `${(url ?? "http://127.0.0.1:8090/v1").replace("http", "ws")}/realtime?model=vita-tiny`;
const STEP = 4_800; // 100 ms

// A function the model may call.
const lookupOrder = tool({
  name: "lookup_order",
  description: "find the status of an order",
  parameters: {
    type: "object",
    properties: { order_id: { type: "string" } },
    required: ["order_id"],
    additionalProperties: false,
  },
  execute: async ({ order_id }) => JSON.stringify({ order_id, status: "out for delivery" }),
});

const agent = new RealtimeAgent({
  name: "bakery",
  instructions: instructions ?? "You answer for Hart's Bakery. Open 9 am to 5 pm.",
  tools: [lookupOrder],
});
const transport = new OpenAIRealtimeWebSocket({ url: address, useInsecureApiKey: true });
const session = new RealtimeSession(agent, {
  transport,
  model: "vita-tiny",
  tracingDisabled: true,
  config: { audio: { input: { transcription: { model: "gpt-4o-mini-transcribe" } } } },
});

// What is heard, said and done.
const sound = [];
const answered = new Promise((resolve) => {
  session.on("audio", (event) => sound.push(Buffer.from(event.data))); // play it here
  session.on("error", (event) => console.log("error:", event.error));
  session.on("agent_tool_end", (_context, _agent, used, result) => console.log(`${used.name} -> ${result}`));
  session.on("transport_event", (event) => {
    if (event.type === "conversation.item.input_audio_transcription.completed") {
      console.log("you:", event.transcript);
    } else if (event.type === "response.output_audio_transcript.done") {
      console.log("VITA:", event.transcript);
    } else if (event.type === "response.done" && sound.length) {
      resolve();
    }
  });
});

// The microphone: what there is to say, then silence, which ends the turn.
await session.connect({ apiKey: key ?? "none" });
let unsaid = readFileSync(question).subarray(44);
const microphone = new AbortController();
const speaking = (async () => {
  while (!microphone.signal.aborted) {
    const piece = unsaid.subarray(0, STEP);
    unsaid = unsaid.subarray(piece.length);
    session.sendAudio(Uint8Array.from(Buffer.concat([piece, Buffer.alloc(STEP - piece.length)])).buffer);
    await sleep(100);
  }
})();
await answered;
microphone.abort();
await speaking;
session.close();

// The answer as a WAV file.
const data = Buffer.concat(sound);
const header = Buffer.alloc(44);
header.write("RIFF", 0);
header.writeUInt32LE(36 + data.length, 4);
header.write("WAVEfmt ", 8);
header.writeUInt32LE(16, 16);
header.writeUInt16LE(1, 20); // plain samples
header.writeUInt16LE(1, 22); // one channel
header.writeUInt32LE(24_000, 24);
header.writeUInt32LE(48_000, 28);
header.writeUInt16LE(2, 32);
header.writeUInt16LE(16, 34);
header.write("data", 36);
header.writeUInt32LE(data.length, 40);
writeFileSync(answer, Buffer.concat([header, data]));
console.log(`${(data.length / 48_000).toFixed(1)} s of speech in ${answer}`);
process.exit(0);
