// The words of both sides, one line a turn; a turn's line is rewritten until it is final.

export class Captions {
  constructor(list) {
    this.list = list;
    this.turns = new Map();
  }

  clear() {
    this.list.replaceChildren();
    this.turns.clear();
  }

  get empty() {
    return this.turns.size === 0;
  }

  show({ speaker, turn, text, final }) {
    let line = this.turns.get(turn);
    if (final && !text) {
      line?.remove();
      this.turns.delete(turn);
      return;
    }
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    if (!line) {
      line = document.createElement("li");
      line.className = speaker;
      const who = document.createElement("span");
      who.className = "who";
      who.textContent = speaker === "agent" ? "Assistant: " : "You: ";
      const words = document.createElement("span");
      words.className = "words";
      line.append(who, words);
      this.list.append(line);
      this.turns.set(turn, line);
    }
    // A screen reader reads a line once, when all its words are there.
    line.setAttribute("aria-busy", String(!final));
    line.dataset.final = String(final);
    const words = line.querySelector(".words");
    words.textContent = text;
    words.classList.toggle("dots", !text);
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}
