// @openai/agents over WebSocket against the server. One argument: the folder the runner laid out.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { createRequire } = require("node:module");
const { setTimeout } = require("node:timers/promises");

const folder = process.argv[2];
const task = JSON.parse(fs.readFileSync(path.join(folder, "task.json"), "utf8"));
const library = createRequire(path.join(task.npm, "package.json"));
const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebSocket, tool } = library("@openai/agents/realtime");

const read = (name) => fs.readFileSync(path.join(folder, name));
const URL = `${task.url.replace("http", "ws")}/realtime?model=vita-tiny`;
const PATIENCE_MS = 150_000;
const STEP = 4_800;
const ORDER = { order_id: "48213", status: "out for delivery" };
let ordered = [];

const lookupOrder = tool({
  name: "lookup_order",
  description: "find the status of an order",
  parameters: {
    type: "object",
    properties: { order_id: { type: "string" } },
    required: ["order_id"],
    additionalProperties: false,
  },
  execute: async (asked) => {
    ordered.push(asked);
    return JSON.stringify(ORDER);
  },
});

function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

class Caller {
  constructor() {
    this.events = [];
    this.waiting = [];
    this.faults = [];
    this.sound = 0;
    this.closed = false;
    this.unsaid = Buffer.alloc(0);
    const agent = new RealtimeAgent({
      name: "phone",
      instructions: read("instructions.txt").toString(),
      tools: [lookupOrder],
    });
    this.transport = new OpenAIRealtimeWebSocket({ url: URL, useInsecureApiKey: true });
    this.session = new RealtimeSession(agent, {
      transport: this.transport,
      model: "vita-tiny",
      tracingDisabled: true,
      config: { audio: { input: { transcription: { model: "gpt-4o-mini-transcribe" } } } },
    });
    this.session.on("audio", (event) => (this.sound += event.data.byteLength));
    this.session.on("error", (event) => this.faults.push(event.error));
    this.session.on("transport_event", (event) => {
      this.events.push(event);
      this.waiting = this.waiting.filter((look) => !look());
    });
  }

  connect() {
    return this.session.connect({ apiKey: task.key });
  }

  // The first event from `after` on that fits.
  event(fits, after = 0) {
    return new Promise((resolve, reject) => {
      const late = global.setTimeout(
        () => reject(new Error(`waited in vain for ${fits}; ${this.events.map((e) => e.type)}`)),
        PATIENCE_MS / 2,
      );
      const look = () => {
        const found = this.events.slice(after).find(fits);
        if (found) {
          clearTimeout(late);
          resolve(found);
        }
        return Boolean(found);
      };
      if (!look()) this.waiting.push(look);
    });
  }

  // A microphone is never still: what there is to say, then silence, 100 ms at a time.
  async listen() {
    while (!this.closed) {
      const piece = this.unsaid.subarray(0, STEP);
      this.unsaid = this.unsaid.subarray(piece.length);
      const data = Buffer.concat([piece, Buffer.alloc(STEP - piece.length)]);
      if (this.transport.status === "connected") {
        this.session.sendAudio(data.buffer.slice(data.byteOffset, data.byteOffset + STEP));
      }
      await setTimeout(100);
    }
  }

  say(name) {
    this.unsaid = read(name);
  }

  async said(after = 0) {
    const done = await this.event((e) => e.type === "response.output_audio_transcript.done", after);
    await this.event((e) => e.type === "response.done", this.events.indexOf(done));
    return done.transcript;
  }
}

async function voiceTurn(caller) {
  await caller.connect();
  caller.say("open_monday.pcm");
  const said = await caller.said();
  const heard = await caller.event(
    (e) => e.type === "conversation.item.input_audio_transcription.completed",
  );
  check(/monday/i.test(heard.transcript), `heard ${heard.transcript}`);
  check(said.includes("9 am"), `said ${said}`);
  check(caller.sound > 24_000, "less than half a second of sound");
  const roles = caller.session.history.map((item) => item.role);
  check(roles.join() === "user,assistant", `the history is ${roles}`);
  return `heard '${heard.transcript}', said '${said}', ${(caller.sound / 48_000).toFixed(1)} s`;
}

async function toolRoundTrip(caller) {
  ordered = [];
  await caller.connect();
  caller.session.sendMessage("Where is my order 48213?");
  const said = await caller.said();
  check(ordered.length === 1 && ordered[0].order_id === "48213", JSON.stringify(ordered));
  check(said.includes("deliver"), `said ${said}`);
  return `lookup_order(${JSON.stringify(ordered[0])}), said '${said}'`;
}

async function interruption(caller) {
  let stopped = 0;
  caller.session.on("audio_interrupted", () => (stopped += 1));
  await caller.connect();
  caller.say("open_monday.pcm");
  const first = await caller.event((e) => e.type === "response.output_audio.delta");
  caller.say("open_monday.pcm");
  const cut = await caller.event((e) => e.type === "conversation.item.truncated");
  check(cut.item_id === first.item_id, "another item was cut");
  check(stopped === 1, "the player was not told to stop");
  const said = await caller.said(caller.events.indexOf(cut));
  return `cut at ${cut.audio_end_ms} ms, then said '${said}'`;
}

async function imageInput(caller) {
  await caller.connect();
  const data = read("circle.jpg").toString("base64");
  caller.session.addImage(`data:image/jpeg;base64,${data}`, { triggerResponse: false });
  caller.say("what_colour.pcm");
  const said = await caller.said();
  check(said.includes("red"), `said ${said}`);
  return `said '${said}'`;
}

// The library replays what the agent said as text only.
function asText(item) {
  if (item.role !== "assistant") return item;
  const content = item.content.map((part) => ({ type: "output_text", text: part.transcript ?? "" }));
  return { ...item, content };
}

async function reconnect(caller) {
  await caller.connect();
  caller.say("open_monday.pcm");
  await caller.said();
  const before = caller.session.history;
  const closed = new Promise((resolve) =>
    caller.transport.on("connection_change", (status) => status === "disconnected" && resolve()),
  );
  await new Promise((resolve) => net.connect(task.cutter, "127.0.0.1").on("data", resolve));
  await closed;
  const after = caller.events.length;
  await caller.connect();
  caller.session.updateHistory(before.map(asText));
  caller.say("open_monday.pcm");
  const said = await caller.said(after);
  check(said.includes("9 am"), `said ${said}`);
  return `connected again, then said '${said}'`;
}

async function main() {
  const behaviours = {
    "voice turn": voiceTurn,
    "tool round trip": toolRoundTrip,
    "interruption with truncation": interruption,
    "image input": imageInput,
    reconnect,
  };
  for (const [behaviour, behave] of Object.entries(behaviours)) {
    const caller = new Caller();
    caller.listen();
    const late = new Promise((_, reject) => global.setTimeout(reject, PATIENCE_MS, new Error("too slow")).unref());
    let result;
    try {
      const seen = await Promise.race([behave(caller), late]);
      const faults = behave === reconnect ? [] : caller.faults;
      check(!faults.length, `errors: ${JSON.stringify(faults)}`);
      result = { behaviour, ok: true, seen };
    } catch (error) {
      console.error(behaviour, error);
      result = { behaviour, ok: false, seen: String(error).slice(0, 300) };
    }
    console.log(JSON.stringify(result));
    caller.closed = true;
    caller.session.close();
  }
  process.exit(0);
}

main();
