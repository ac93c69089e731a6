// Turning pages of a list that the API gives piece by piece: onward by its cursor, back by the browser's own history.
import { h } from "../lib/dom.js";
import { turn } from "../lib/route.js";
import { icon } from "./icon.js";

/** `next` is the cursor of the page after this one. */
export function pages(parameters, next) {
  const page = Number(parameters.get("page") ?? 1);
  if (page === 1 && !next) return null;
  return h(
    "div",
    { class: "pages" },
    h(
      "button",
      { type: "button", class: "button", disabled: page === 1, onclick: () => turn({ cursor: null, page: null }) },
      "Newest",
    ),
    h("span", { class: "soft" }, `page ${page}`),
    h(
      "button",
      {
        type: "button",
        class: "button",
        disabled: !next,
        onclick: () => {
          turn({ cursor: next, page: page + 1 });
          scrollTo(0, 0);
        },
      },
      "Older",
      icon("chevron"),
    ),
  );
}
