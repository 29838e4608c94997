"use strict";
// How the page writes times and durations, and makes elements. Whatever a story holds is set as text, never as markup.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const twoDigits = (number) => String(number).padStart(2, "0");

/** 24 Nov */
function dayOf(at) {
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

/** 06:00, or 06:00:17 */
function clockOf(at, withSeconds) {
  const date = new Date(at);
  const minutes = `${twoDigits(date.getUTCHours())}:${twoDigits(date.getUTCMinutes())}`;
  return withSeconds ? `${minutes}:${twoDigits(date.getUTCSeconds())}` : minutes;
}

/** 24 Nov 06:00:17 */
const momentOf = (at) => `${dayOf(at)} ${clockOf(at, true)}`;

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** 0.4 s, 16 s, 2 min 33 s, 3 h 5 min, 8 days */
function durationOf(milliseconds) {
  if (milliseconds < SECOND) return `${(milliseconds / SECOND).toFixed(milliseconds < 95 ? 2 : 1)} s`;
  if (milliseconds < MINUTE) return `${Math.round(milliseconds / SECOND)} s`;
  const parts = (large, unit, small, name) => {
    const whole = Math.floor(milliseconds / large);
    const rest = Math.round((milliseconds - whole * large) / small);
    return rest > 0 && rest * small < large
      ? `${whole} ${unit} ${rest} ${name}`
      : `${Math.round(milliseconds / large)} ${unit}`;
  };
  if (milliseconds < HOUR) return parts(MINUTE, "min", SECOND, "s");
  if (milliseconds < DAY) return parts(HOUR, "h", MINUTE, "min");
  return counted(Math.round(milliseconds / DAY), "day");
}

/** What is put off until its element is in the document. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style")
      Object.entries(value).forEach(([property, setting]) => element.style.setProperty(property, setting));
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes || {}).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

/** One of the page's symbols. */
const symbol = (name) => makeSvg("svg", { class: "mark", "aria-hidden": "true" }, makeSvg("use", { href: `#${name}` }));

const percent = (fraction) => `${(fraction * 100).toFixed(4)}%`;
