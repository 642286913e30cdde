// What the server's short names mean, in words.

/** Reasons of closes: whose doing, and what happened. The names are those of the metrics. */
export const CLOSES = {
  done: ["nobody", "The service had nothing more to say."],
  eof: ["nobody", "The peer ended its stream between two messages, as it should."],
  truncated: ["peer", "The peer ended its stream in the middle of a message."],
  protocol: ["peer", "What the peer sent broke the rules of the protocol."],
  timeout: ["peer", "A deadline of the service passed: the peer did not do in time what it had to."],
  idle: ["peer", "Nothing came or went for idle_timeout."],
  shutdown: ["server", "The server was shutting down."],
  requested: ["server", "Somebody asked for its end here, at the admin address."],
  refused: ["server", "The service did not want the connection when it opened."],
  slow_consumer: ["peer", "The peer did not read what was sent to it for write_stall_timeout."],
  overflow: ["peer", "The peer read too slowly: more than output_max would have waited for it."],
  input_full: ["peer", "A message was longer than input_max."],
  memory_full: ["server", "The worker's buffers were full: buffered_max."],
  aborted: ["server", "The service cut it off, or the drain had come to its end."],
  reset: ["network", "The peer reset the connection, or it broke."],
  io: ["network", "The system failed a call on it."],
  tls: ["peer", "TLS failed or was cut short; nearly always the peer's doing, rarely a limit of ours."],
  unavailable: ["server", "What the service needed for it could not be had: an upstream, a name, a worker."],
};

export const FAULTS = {
  nobody: "nobody's fault",
  peer: "the peer's",
  server: "ours",
  network: "the network's",
};

/** States of a connection. */
export const STATES = {
  tls: "encrypted",
  handshake: "in its TLS handshake",
  paused: "the service reads no further for now",
  congested: "too much output waits: it is not read until the peer has taken some",
  closing: "its end is decided, and what is queued is still being sent",
  half_closed: "we have said our last, and wait for the peer's",
  peer_finished: "the peer has said its last",
  relayed: "coupled with another connection: bytes pass through",
  connecting: "being made, by this server",
  moving: "on its way to another worker",
};

/** States of a backend. */
export const BACKENDS = {
  up: "It gets new connections.",
  down: "Its checks fail: it gets no new connections.",
  ejected: "It has failed clients in a row, and gets no new connections for some time.",
  draining: "It gets no new connections, and keeps those it has.",
  circuit_open: "Its circuit breaker is open: it gets no new connections for some time.",
  half_open: "Its circuit breaker tries it with a few.",
  disabled: "It was taken out of service, and is not checked.",
  leaving: "It is gone once it has no connection any more.",
};

/** The callbacks of a service: what each tells it. */
export const CALLBACKS = {
  start: "the server begins",
  open: "somebody is connected",
  connected: "the connection you asked for is made",
  connect_failed: "the connection you asked for did not come about",
  data: "here is what has arrived",
  datagram: "here is a datagram",
  eof: "the peer has said its last",
  drained: "there is room for output again",
  timeout: "your alarm rings",
  tick: "it is time",
  receive: "here is a message from another thread",
  draining: "the server is stopping, finish soon",
  superseded: "a successor has taken over, you keep what you have",
  closed: "this connection is gone",
  shutdown: "the server is stopping",
};

/** The steps of a turn: a short name for the wheel, and what the worker does there. */
export const STEPS = {
  poll: ["poll", "It asks the system who has something for it, and sleeps until somebody does."],
  run: ["run", "It goes through the connections it made a note of, one after the other: reads, lets the service answer, sends."],
  datagrams: ["datagrams", "The same for sockets of datagrams, which come in batches."],
  accept: ["accept", "It lets newcomers in, as many as limits and rate allow."],
  timers: ["timers", "It looks which deadlines have passed: idle connections, alarms of services."],
  ticks: ["ticks", "Services that want to be called at a steady beat are called."],
  mail: ["mail", "It opens its mailbox: messages from other threads, connections from other workers."],
  connect: ["connect", "It goes on with connections of its own to other servers."],
  end: ["end", "It sends what was written to other connections, and carries out the closes decided in this turn."],
  drain: ["drain", "If the server is stopping: one step of that."],
};
