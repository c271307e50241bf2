// Everything the page says, by the state or reason it says it for.

export const STATUS = {
  idle: "Talk to our assistant, right here in your browser.",
  asking: "Please allow your browser to use the microphone.",
  connecting: "Calling…",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking",
  muted: "You are muted",
  unstable: "The connection is unstable. Hold on…",
};

// Why a call did not come about, or had to end: [title, what to do].
export const PROBLEMS = {
  denied: ["The microphone is blocked", "Allow the microphone for this page in your browser’s address bar, then call again."],
  "no-microphone": ["No microphone was found", "Plug one in or switch it on, then call again."],
  "microphone-busy": ["The microphone is in use", "Another program holds your microphone. Close it, then call again."],
  insecure: ["This page is not secure", "Browsers allow calls on https pages only. Open the page by its https address."],
  at_capacity: ["All lines are busy", "Please try again in a moment."],
  after_hours: ["We are closed right now", "Please call again when we are open."],
  too_many_calls: ["That was one call too many", "Please wait a minute, then call again."],
  line_not_found: ["This call page is closed", "The business no longer answers here."],
  token_rejected: ["It took too long to connect", "The permission for this call ran out. Please call again."],
  lost: ["The connection was lost", "Check your network, then call again."],
  unreachable: ["No connection", "The call cannot get through from your network. Try another network, or call by phone."],
  failed: ["Sorry, something went wrong", "The call could not go on. Please call again."],
};

export const ENDED = {
  you: "You hung up.",
  agent: "The call has ended. Thank you for calling.",
  transfer: "A person takes it from here.",
};

export const TRANSFER = ["Please call this number", "A call from the browser cannot be handed over. A person answers here:"];
export const CAMERA_DENIED = "The camera is blocked: allow it in your browser’s address bar.";
export const NO_CAMERA = "No camera was found.";
