// A question before something happens: what will happen, to how many, and why (the reason goes into the audit trail). It
// closes when it has happened; what the monitor refuses, it says in the dialog, and nothing that was typed is lost.
import { h, patch } from "../lib/dom.js";
import { icon } from "./icon.js";

/**
 * `title`; `text`: what will happen; `confirm`: the name of the button; `danger`; `fields`: more inputs,
 * `{ name, label, type, value, hint, … }`; `reason: false` where none is asked for; `act(values)`: does it.
 */
export function ask(question) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  document.body.append(dialog);
  const state = { busy: false, problem: null };
  const draw = () => patch(dialog, content(question, state, dialog, submit));
  const submit = async event => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    Object.assign(state, { busy: true, problem: null });
    draw();
    try {
      await question.act(values);
      dialog.close();
    } catch (error) {
      Object.assign(state, { busy: false, problem: error });
      draw();
    }
  };
  dialog.addEventListener("close", () => dialog.remove());
  // A click beside it closes it.
  dialog.addEventListener("click", event => {
    if (event.target === dialog) dialog.close();
  });
  draw();
  dialog.showModal();
}

function content(question, { busy, problem }, dialog, submit) {
  const fields = [...(question.fields ?? []), ...(question.reason === false ? [] : [REASON])];
  return h(
    "form",
    { method: "dialog", onsubmit: submit },
    h("h2", { id: "dialog-title" }, question.title),
    h("div", { class: "text" }, question.text),
    fields.map(field => input(field)),
    problem &&
      h(
        "p",
        { class: "problem", role: "alert" },
        icon("warning"),
        h("span", null, problem.field && h("b", null, `${problem.field}: `), problem.message),
      ),
    h(
      "div",
      { class: "buttons" },
      h(
        "button",
        { type: "button", class: "button", onclick: () => dialog.close() },
        question.confirm ? "Leave it" : "Close",
      ),
      question.confirm &&
        h(
          "button",
          { type: "submit", class: `button ${question.danger ? "danger" : "primary"}`, disabled: busy },
          busy ? "Working…" : question.confirm,
        ),
    ),
  );
}

const REASON = {
  name: "reason",
  label: "Reason",
  placeholder: "optional; kept in the audit trail",
  maxlength: 500,
  autofocus: true,
};

function input({ name, label, hint, ...props }) {
  return h(
    "label",
    { class: "field", key: name },
    h("span", null, label),
    h("input", { name, type: "text", autocomplete: "off", ...props }),
    hint && h("small", null, hint),
  );
}
