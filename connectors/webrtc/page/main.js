// The call page: what is pressed goes to the connection, what the connection tells is shown.

import { Captions } from "./captions.js";
import { Connection, Refused } from "./connection.js";
import * as devices from "./devices.js";
import { CAMERA_DENIED, ENDED, NO_CAMERA, PROBLEMS, STATUS, TRANSFER } from "./words.js";

const $ = (id) => document.getElementById(id);
const page = $("call");
const captions = new Captions($("captions"));
const offersVideo = page.dataset.video === "true";

let call = null; // the connection, while there is one
let microphone = null;
let camera = null;
let meters = {};
let sound = null;
let clock = 0;
let turn = "listening";

// What is shown ------------------------------------------------------------------------------

function show(state, text) {
  page.dataset.state = state;
  if (text !== undefined) $("status").textContent = text;
}

function showTurn(next = turn) {
  turn = next;
  if (page.dataset.state !== "live") return;
  page.dataset.turn = turn;
  const muted = $("mute").getAttribute("aria-pressed") === "true";
  const state = call?.unstable ? "unstable" : muted && turn === "listening" ? "muted" : turn;
  if ($("status").textContent !== STATUS[state]) $("status").textContent = STATUS[state];
}

function notify(title, text, link) {
  const notice = $("notice");
  notice.querySelector("h2").textContent = title;
  notice.querySelector("p").textContent = text;
  const button = notice.querySelector("a");
  button.hidden = !link;
  if (link) {
    button.href = `tel:${link}`;
    button.textContent = link;
  }
  notice.hidden = false;
}

function problem(reason, number = "", message = "") {
  const [title, text] = PROBLEMS[reason] || PROBLEMS.failed;
  show("problem", "");
  // Only what the business itself wrote is shown as it came.
  notify(title, (reason === "after_hours" && message) || text, number);
  finish("Call again");
}

function finish(label) {
  $("start").querySelector("span").textContent = label;
  page.classList.toggle("has-captions", !captions.empty);
  $("start").focus();
}

function tick() {
  const seconds = Math.floor((performance.now() - clock) / 1000);
  $("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function draw() {
  if (!call || call.over) return;
  page.style.setProperty("--level", meters.mine?.level().toFixed(2) ?? 0);
  page.style.setProperty("--voice", meters.voice?.level().toFixed(2) ?? 0);
  requestAnimationFrame(draw);
}

// A call from its beginning to its end -------------------------------------------------------

async function start() {
  $("notice").hidden = true;
  captions.clear();
  page.classList.remove("has-captions");
  if (!navigator.mediaDevices) return problem("insecure");
  show("asking", STATUS.asking);
  $("hangup").focus();
  try {
    microphone = await devices.openMicrophone();
  } catch (error) {
    return problem(devices.reasonOf(error));
  }
  if (page.dataset.state !== "asking") return release();
  show("connecting", STATUS.connecting);
  call = new Connection(page.dataset.line, { microphone, video: offersVideo, voice: $("voice") });
  call.addEventListener("live", live);
  call.addEventListener("voice", listen);
  call.addEventListener("caption", ({ detail }) => caption(detail));
  call.addEventListener("unstable", () => showTurn());
  call.addEventListener("over", ({ detail }) => over(detail));
  try {
    await call.open();
  } catch (error) {
    if (error instanceof Refused) call.end(error.code, "", error.message);
    else call.end("failed");
  }
}

function live() {
  show("live");
  showTurn("listening");
  clock = performance.now();
  tick();
  call.clock = setInterval(tick, 1000);
  sound = new AudioContext();
  meters.mine = new devices.Meter(sound, microphone);
  listen();
  $("voice").play().catch(() => {});
  for (const track of microphone.getTracks()) track.onended = () => call && !call.over && lostMicrophone();
  $("mute").focus();
  requestAnimationFrame(draw);
}

function listen() {
  meters.voice?.close();
  if (sound && $("voice").srcObject) meters.voice = new devices.Meter(sound, $("voice").srcObject);
}

function lostMicrophone() {
  notify(PROBLEMS["no-microphone"][0], "Choose another one under Devices, or write instead.");
}

function caption(detail) {
  captions.show(detail);
  if (detail.speaker === "agent") showTurn(detail.final ? "listening" : "speaking");
  else if (detail.text) showTurn("thinking");
  else showTurn("listening");
}

function over({ reason, number, message }) {
  clearInterval(call.clock);
  release();
  if (reason in PROBLEMS || !(reason in ENDED)) return problem(reason, number, message);
  show("ended", ENDED[reason]);
  if (reason === "transfer" && number) notify(...TRANSFER, number);
  finish("Call again");
}

function release() {
  for (const stream of [microphone, camera]) stream?.getTracks().forEach((track) => track.stop());
  microphone = camera = null;
  Object.values(meters).forEach((meter) => meter.close());
  meters = {};
  sound?.close();
  sound = null;
  $("self").hidden = true;
  $("self").srcObject = null;
  $("voice").srcObject = null;
  pressed("mute", false);
  pressed("camera", false);
  page.style.setProperty("--level", 0);
  page.style.setProperty("--voice", 0);
  if ($("devices").open) $("devices").close();
}

function hangUp() {
  if (call && !call.over) return call.hangUp();
  show("idle", STATUS.idle); // nothing was begun yet: only the browser's question is open
  $("start").focus();
}

// Buttons ------------------------------------------------------------------------------------

function pressed(id, on) {
  $(id).setAttribute("aria-pressed", String(on));
}

function mute() {
  const muted = $("mute").getAttribute("aria-pressed") !== "true";
  pressed("mute", muted);
  applyMute();
  showTurn();
}

function applyMute() {
  const muted = $("mute").getAttribute("aria-pressed") === "true";
  microphone?.getAudioTracks().forEach((track) => (track.enabled = !muted));
}

async function toggleCamera(deviceId) {
  const switchOn = typeof deviceId === "string" || !camera;
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  if (switchOn) {
    try {
      camera = await devices.openCamera(typeof deviceId === "string" ? deviceId : undefined);
    } catch (error) {
      notify("No camera", devices.reasonOf(error) === "no-microphone" ? NO_CAMERA : CAMERA_DENIED);
    }
  }
  await call?.useCamera(camera);
  $("self").srcObject = camera;
  $("self").hidden = !camera;
  if (camera) $("self").play().catch(() => {});
  pressed("camera", Boolean(camera));
}

async function choose() {
  const ids = {
    audioinput: microphone?.getAudioTracks()[0]?.getSettings().deviceId,
    videoinput: camera?.getVideoTracks()[0]?.getSettings().deviceId,
    audiooutput: $("voice").sinkId,
  };
  await devices.list("audioinput", $("microphones"), ids.audioinput);
  const cameras = offersVideo && (await devices.list("videoinput", $("cameras"), ids.videoinput));
  const speakers = "setSinkId" in $("voice") && (await devices.list("audiooutput", $("speakers"), ids.audiooutput));
  document.querySelector("[data-for=camera]").hidden = !cameras;
  document.querySelector("[data-for=speaker]").hidden = !speakers;
  $("devices").showModal();
}

async function changeMicrophone() {
  const next = await devices.openMicrophone($("microphones").value).catch(() => null);
  if (!next) return notify(...PROBLEMS["no-microphone"]);
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = next;
  applyMute();
  meters.mine?.close();
  if (sound) meters.mine = new devices.Meter(sound, microphone);
  await call?.useMicrophone(microphone);
  $("notice").hidden = true;
}

$("start").onclick = start;
$("hangup").onclick = hangUp;
$("mute").onclick = mute;
$("camera").onclick = toggleCamera;
$("camera").hidden = !offersVideo;
$("choose").onclick = choose;
$("microphones").onchange = changeMicrophone;
$("cameras").onchange = () => camera && toggleCamera($("cameras").value);
$("speakers").onchange = () => $("voice").setSinkId($("speakers").value);
$("typing").onsubmit = (event) => {
  event.preventDefault();
  const text = $("words").value.trim();
  if (text) call?.tell({ type: "typed", text });
  $("words").value = "";
};
addEventListener("pagehide", () => call?.hangUp());
