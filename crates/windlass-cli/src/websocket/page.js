"use strict";

const [state, form, text, heard] = ["state", "form", "text", "heard"].map((id) => document.getElementById(id));
const SHOWN_MAX = 100;

let socket;
// When each message that is not back yet was sent: they come back in their order.
let sent = [];

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onopen = () => (state.textContent = "Connected.");
  socket.onmessage = ({ data }) => show(data, performance.now() - sent.shift());
  socket.onclose = () => {
    sent = [];
    state.textContent = "Disconnected; trying again …";
    setTimeout(connect, 1000);
  };
}

function show(data, took) {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = `${took.toFixed(1)} ms`;
  line.append(data, time);
  heard.prepend(line);
  if (heard.children.length > SHOWN_MAX) heard.lastChild.remove();
}

form.onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN || text.value === "") return;
  sent.push(performance.now());
  socket.send(text.value);
  text.value = "";
};

connect();
