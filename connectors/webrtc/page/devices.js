// Microphone, camera and speaker: asking for them, listing them, measuring loudness.

const VOICE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
// A few small pictures a second are all the agent looks at.
const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 8, max: 15 } };

// Why a device was not given, as a key of PROBLEMS.
export function reasonOf(error) {
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "no-microphone";
  if (error.name === "NotReadableError" || error.name === "AbortError") return "microphone-busy";
  return "denied";
}

export async function openMicrophone(deviceId) {
  const audio = deviceId ? { ...VOICE, deviceId: { exact: deviceId } } : VOICE;
  return navigator.mediaDevices.getUserMedia({ audio });
}

export async function openCamera(deviceId) {
  const video = deviceId ? { ...PICTURE, deviceId: { exact: deviceId } } : { ...PICTURE, facingMode: "environment" };
  return navigator.mediaDevices.getUserMedia({ video });
}

// Fill a select with the devices of one kind; returns whether there is a choice at all.
export async function list(kind, select, chosen) {
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((each) => each.kind === kind);
  select.replaceChildren(
    ...found.map((each, index) => new Option(each.label || `Device ${index + 1}`, each.deviceId, false, each.deviceId === chosen)),
  );
  return found.length > 0;
}

// Loudness of a stream, 0 to 1, whenever it is asked for.
export class Meter {
  constructor(context, stream) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 512;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
  }

  level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / this.samples.length + 1e-9);
    return Math.min(Math.max((decibels + 55) / 45, 0), 1);
  }

  close() {
    this.source.disconnect();
  }
}
