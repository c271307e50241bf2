import WaveSurfer from "vita-wavesurfer";

const STEP_S = 5;
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function colour(name) {
  return getComputedStyle(document.body).getPropertyValue(name).trim();
}

export default {
  props: { source: String, peaks: Array, duration: Number, start: Number, leads: Boolean },
  template: `
    <div class="player">
      <div class="player-bar">
        <button class="play" type="button" @click="toggle" :aria-label="playing ? 'Pause' : 'Play'">
          <i class="material-icons">{{ playing ? "pause" : "play_arrow" }}</i>
        </button>
        <button class="round" type="button" @click="skip(-5)" aria-label="Back 5 seconds" title="Back 5 s (J)">
          <i class="material-icons">replay_5</i>
        </button>
        <button class="round" type="button" @click="skip(5)" aria-label="Forward 5 seconds" title="Forward 5 s (L)">
          <i class="material-icons">forward_5</i>
        </button>
        <span class="clock"><b>{{ clock(now) }}</b> / {{ clock(duration) }}</span>
        <span class="sides"><span class="side caller">Caller</span><span class="side agent">Agent</span></span>
        <span class="speeds" role="group" aria-label="Speed">
          <button v-for="each in speeds" type="button" :class="{ on: each === speed }" @click="setSpeed(each)">{{ each }}×</button>
        </span>
      </div>
      <div ref="wave" class="wave"></div>
      <audio ref="audio" :src="source" preload="metadata"></audio>
      <p v-if="failed" class="failed">The recording cannot be played: {{ failed }}</p>
    </div>`,
  data() {
    return { playing: false, now: 0, speed: 1, speeds: SPEEDS, failed: "" };
  },
  mounted() {
    const audio = this.$refs.audio;
    audio.addEventListener("timeupdate", () => this.tick());
    audio.addEventListener("seeking", () => this.tick());
    audio.addEventListener("play", () => { this.playing = true; this.run(); });
    audio.addEventListener("pause", () => { this.playing = false; });
    audio.addEventListener("error", () => { this.failed = "the file is missing or you may not hear it."; });
    this.wave = WaveSurfer.create({
      container: this.$refs.wave,
      media: audio,
      url: this.source,
      peaks: this.peaks,
      duration: this.duration,
      height: 44,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      cursorWidth: 2,
      normalize: false,
      dragToSeek: true,
      ...this.colours(),
    });
    if (this.start > 0) audio.addEventListener("loadedmetadata", () => { audio.currentTime = this.start; this.tick(true); }, { once: true });
    this.onKey = (event) => this.key(event);
    this.onClick = (event) => this.click(event);
    this.onScheme = () => setTimeout(() => this.wave.setOptions(this.colours()), 30);
    window.addEventListener("scheme", this.onScheme);
    if (!this.leads) return;
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("click", this.onClick);
    window.vitaNow = () => (audio.currentTime > 0 ? clock(audio.currentTime) : "");
  },
  unmounted() {
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("click", this.onClick);
    window.removeEventListener("scheme", this.onScheme);
    this.wave?.destroy();
  },
  methods: {
    clock,
    colours() {
      const side = (name) => ({ waveColor: `color-mix(in srgb, ${colour(name)} 38%, ${colour("--paper")})`, progressColor: colour(name) });
      const resolved = (pair) => ({ waveColor: this.resolve(pair.waveColor), progressColor: pair.progressColor });
      return { cursorColor: colour("--ink"), splitChannels: [resolved(side("--caller")), resolved(side("--agent"))] };
    },
    resolve(value) {
      // A canvas wants a plain colour.
      const probe = document.createElement("span");
      probe.style.color = value;
      document.body.append(probe);
      const plain = getComputedStyle(probe).color;
      probe.remove();
      return plain;
    },
    toggle() {
      const audio = this.$refs.audio;
      if (audio.paused) this.play();
      else audio.pause();
    },
    skip(seconds) {
      const audio = this.$refs.audio;
      audio.currentTime = Math.min(Math.max(audio.currentTime + seconds, 0), this.duration);
    },
    setSpeed(speed) {
      this.speed = speed;
      this.$refs.audio.playbackRate = speed;
    },
    playFrom(ms) {
      this.$refs.audio.currentTime = ms / 1000;
      this.play();
    },
    play() {
      // A pause right after is no failure; a file that cannot be played is told by its own event.
      this.$refs.audio.play().catch(() => undefined);
    },
    run() {
      // Finer than the audio element's own four updates a second.
      this.tick();
      if (this.playing) requestAnimationFrame(() => this.run());
    },
    tick(show = false) {
      const ms = this.$refs.audio.currentTime * 1000;
      this.now = ms / 1000;
      if (!this.leads) return;
      let current = null;
      document.querySelectorAll("[data-from-ms]").forEach((line) => {
        if (Number(line.dataset.fromMs) <= ms + 30) current = line;
      });
      if (current && ms > Number(current.dataset.toMs) + 400) current = null;
      if (current === this.marked) return;
      this.marked?.classList.remove("heard-now");
      current?.classList.add("heard-now");
      this.marked = current;
      if (current && (this.playing || show)) current.scrollIntoView({ block: "nearest", behavior: "smooth" });
    },
    click(event) {
      const line = event.target.closest?.("[data-seek-ms]");
      if (!line || event.target.closest("summary, a, button") || String(getSelection())) return;
      this.playFrom(Number(line.dataset.seekMs));
    },
    key(event) {
      const target = event.target;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))) return;
      if (event.key === "Enter" && target instanceof HTMLElement && target.dataset.seekMs) {
        this.playFrom(Number(target.dataset.seekMs));
      } else if (event.key === " ") {
        if (target instanceof HTMLElement && /^(BUTTON|SUMMARY|A)$/.test(target.tagName)) target.blur();
        void this.toggle();
      } else if (event.key === "k") void this.toggle();
      else if (event.key === "j" || event.key === "ArrowLeft") this.skip(-STEP_S);
      else if (event.key === "l" || event.key === "ArrowRight") this.skip(STEP_S);
      else if (event.key === ">") this.setSpeed(SPEEDS[Math.min(SPEEDS.indexOf(this.speed) + 1, SPEEDS.length - 1)]);
      else if (event.key === "<") this.setSpeed(SPEEDS[Math.max(SPEEDS.indexOf(this.speed) - 1, 0)]);
      else return;
      event.preventDefault();
    },
  },
};
