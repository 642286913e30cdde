const show = (id, text) => { document.getElementById(id).textContent = text; };
const events = new EventSource("/clock");
events.addEventListener("tick", event => show("clock", event.data));
events.addEventListener("count", event => show("count", event.data));
document.getElementById("more").addEventListener("click", () => fetch("/count", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ by: 1 }),
}));
