// Asks for a seat, shows what the room says, and sends which field was pressed.
const state = document.getElementById("state"), board = document.getElementById("board");
const answer = await fetch("/api/rooms/join-or-create", {
  method: "POST", headers: { "content-type": "application/json" }, body: "{}",
});
const seat = await answer.json();
const socket = new WebSocket(new URL(seat.path, location.href.replace("http", "ws")), "windlass.room.1");
socket.binaryType = "arraybuffer";
// One piece: the channel (3, reliable), a length, and the field.
const press = (at) => socket.send(new Uint8Array([3, 1, at]));
for (let row = 0; row < 3; row++) {
  const line = board.insertRow();
  for (let column = 0; column < 3; column++) {
    const button = document.createElement("button");
    button.textContent = "·";
    button.onclick = () => press(row * 3 + column);
    line.insertCell().append(button);
  }
}
socket.onmessage = ({ data }) => {
  const bytes = new Uint8Array(data);
  // Behind five bytes of a head come pieces: tag, length (short ones only here), and what it is.
  for (let at = 5; at < bytes.length; at += 2 + bytes[at + 1]) {
    if (bytes[at] !== 3) continue;
    const text = String.fromCharCode(...bytes.subarray(at + 2, at + 12));
    board.querySelectorAll("button").forEach((button, n) => { button.textContent = text[n].replace(".", "·"); });
    state.textContent = {
      x: "X has won", o: "O has won", "=": "Nobody has won",
    }[text[9]] ?? (Number(text[9]) === seat.seat ? "Your turn" : "The other's turn");
  }
};
socket.onclose = ({ reason }) => { state.textContent = reason || "It is over"; };
