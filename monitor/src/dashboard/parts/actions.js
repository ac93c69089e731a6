// Everything that can be done to the pool from this page. Each asks first, says to what it will be done, and tells the page to
// look again once it is accepted.
import { post, segment } from "../lib/api.js";
import { exact, plural } from "../lib/format.js";
import { ask } from "./dialog.js";
import { notice } from "./notice.js";

let refresh = () => {};

/** What to call when something was done. */
export const after = done => {
  refresh = done;
};

const reason = values => (values.reason ? { reason: values.reason } : {});

// A wish that is accepted with a single call.
function wish({ path, body = {}, done, ...question }) {
  ask({
    ...question,
    act: async values => {
      await post(path, { ...reason(values), ...(typeof body === "function" ? body(values) : body) });
      notice(done);
      refresh();
    },
  });
}

const TASKS = {
  cancel: {
    ask: what => `Cancel ${what}?`,
    past: "cancelled",
    danger: true,
    confirm: "Cancel",
    text: "What is queued or delayed will never start. What runs is asked to stop: a Rust handler sees its token, a program gets SIGTERM and then SIGKILL.",
  },
  run_now: {
    ask: what => `Run ${what} now?`,
    past: "started early",
    confirm: "Run now",
    text: "What is delayed goes to its queue at once instead of waiting for its time.",
  },
  retry: {
    ask: what => `Retry ${what}?`,
    past: "retried",
    confirm: "Retry",
    text: "The dead letter goes back to its queue with its history; its attempts are counted anew.",
  },
  discard: {
    ask: what => `Discard ${what}?`,
    past: "discarded",
    danger: true,
    confirm: "Discard",
    text: "The dead letter and its payload are removed for good. What is known of the task stays.",
  },
};

const PATHS = { cancel: "cancel", run_now: "run-now", retry: "retry" };

/** One task. */
export function one(action, id) {
  const { ask: title, past, text, danger, confirm } = TASKS[action];
  const path = action === "discard" ? `api/dead/${segment(id)}/discard` : `api/tasks/${segment(id)}/${PATHS[action]}`;
  wish({
    title: title("this task"),
    text,
    danger,
    confirm: `${confirm} the task`,
    path,
    done: `The task will be ${past}`,
  });
}

// What the API takes at once.
const AT_ONCE = 1_000;

/** Several tasks. What is refused is told one by one. */
export function several(action, ids, done) {
  const { ask: title, past, text, danger, confirm } = TASKS[action];
  ask({
    title: title(plural(ids.length, "task")),
    text,
    danger,
    confirm: `${confirm} ${plural(ids.length, "task")}`,
    act: async values => {
      let accepted = 0;
      const refused = [];
      for (let from = 0; from < ids.length; from += AT_ONCE) {
        const answer = await post("api/tasks/actions", {
          action,
          ids: ids.slice(from, from + AT_ONCE),
          ...reason(values),
        });
        accepted += answer.accepted.length;
        refused.push(...answer.refused);
      }
      if (accepted > 0) notice(`${plural(accepted, "task")} will be ${past}`);
      if (refused.length > 0) {
        const shown = refused
          .slice(0, 3)
          .map(({ id, why }) => `${id}: ${why}`)
          .join("; ");
        notice(`${plural(refused.length, "task")} refused. ${shown}${refused.length > 3 ? "; …" : ""}`, "bad");
      }
      done?.();
      refresh();
    },
  });
}

/** Pausing a queue, or letting it go on. */
export const queue = {
  pause: name =>
    wish({
      title: `Pause ${name}?`,
      danger: true,
      confirm: "Pause the queue",
      path: `api/queues/${segment(name)}/pause`,
      done: `${name} is paused`,
      text: "Every worker stops taking from it, also those that start later. What runs goes on; what is delayed becomes due and then waits with the rest.",
    }),
  resume: name =>
    wish({
      title: `Resume ${name}?`,
      confirm: "Resume the queue",
      path: `api/queues/${segment(name)}/resume`,
      done: `${name} goes on`,
      text: "The workers take from it again.",
    }),
};

/** Draining a worker, or letting it work again. */
export const worker = {
  drain: name =>
    wish({
      title: `Drain ${name}?`,
      danger: true,
      confirm: "Drain the worker",
      path: `api/workers/${segment(name)}/drain`,
      done: `${name} takes nothing more`,
      text: "It finishes what it runs and takes nothing more, but stays alive until it is resumed or stopped.",
    }),
  resume: name =>
    wish({
      title: `Let ${name} work again?`,
      confirm: "Resume the worker",
      path: `api/workers/${segment(name)}/resume`,
      done: `${name} works again`,
      text: "It takes tasks again.",
    }),
};

const RATE = {
  name: "rate",
  label: "At most",
  type: "number",
  min: "0.1",
  step: "any",
  placeholder: "unlimited",
  hint: "letters per second; empty: as fast as the queue takes them",
};
const rated = values => (values.rate ? { rate_per_second: Number(values.rate) } : {});

/** A group of dead letters. */
export const group = {
  canary: ({ fingerprint, kind, count }) =>
    wish({
      title: "Replay one as a canary?",
      confirm: "Replay one",
      path: `api/dead/groups/${segment(fingerprint)}/replay`,
      fields: [RATE],
      body: values => ({ canary: true, ...rated(values) }),
      done: "The canary is on its way",
      text: `One of these ${exact(count)} letters${kind ? ` of ${kind}` : ""} goes back to its queue. Look how it fares; then let the job replay the rest.`,
    }),
  replay: ({ fingerprint, kind, count }) =>
    wish({
      title: `Replay ${plural(count, "dead letter")}?`,
      confirm: `Replay ${plural(count, "letter")}`,
      fields: [RATE],
      path: `api/dead/groups/${segment(fingerprint)}/replay`,
      body: values => ({ canary: false, ...rated(values) }),
      done: "The replay has begun",
      text: `All ${exact(count)} letters of this group${kind ? `, of kind ${kind},` : ""} go back to their queue with their history. A replay that is interrupted goes on, and runs none twice.`,
    }),
  discard: ({ fingerprint, count }) =>
    wish({
      title: `Discard ${plural(count, "dead letter")}?`,
      danger: true,
      confirm: `Discard ${plural(count, "letter")}`,
      path: `api/dead/groups/${segment(fingerprint)}/discard`,
      done: "They are being discarded",
      text: `All ${exact(count)} letters of this group and their payloads are removed for good. What is known of the tasks stays.`,
    }),
};

/** A job that goes on. */
export const job = {
  goOn: ({ id, total, done }) =>
    wish({
      title: `Replay the other ${plural(total - done, "letter")}?`,
      confirm: "Replay the rest",
      path: `api/jobs/${segment(id)}/continue`,
      done: "The replay goes on",
      text: "The canary went first; now the rest of its group goes back to its queue, as fast as the job may.",
    }),
  stop: ({ id }) =>
    wish({
      title: "Stop this job?",
      danger: true,
      confirm: "Stop the job",
      path: `api/jobs/${segment(id)}/stop`,
      done: "The job is stopping",
      text: "What it has done stays done; the rest is left as it is.",
    }),
};

/** A workflow as a whole. */
export const workflow = {
  cancel: id =>
    wish({
      title: "Cancel this workflow?",
      danger: true,
      confirm: "Cancel the workflow",
      path: `api/workflows/${segment(id)}/cancel`,
      done: "The workflow is being cancelled",
      text: "What has not begun will not. What is queued will never start, and what runs is asked to stop.",
    }),
  retry: id =>
    wish({
      title: "Retry this workflow?",
      confirm: "Retry from what failed",
      path: `api/workflows/${segment(id)}/retry`,
      done: "The workflow goes on",
      text: "What failed or was cancelled runs again as new tasks, and then what was skipped or stopped behind it. What succeeded stays as it is.",
    }),
};
