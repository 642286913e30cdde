//! How `memory` in `[server]` is divided, as `windlass` does it: what hubs keep has a part of its own, all the rest is
//! the engine's, which divides it further.

use windlass::{MemoryLine, MemoryPlan, Server};

use super::{Config, Problem};

impl Config {
    /// Has hubs keep no more than their part: half of the memory is theirs, in equal parts where they say nothing.
    pub(super) fn divide(&mut self) {
        #[cfg(feature = "hub")]
        if self.memory > 0 {
            let part = self.memory / 2 / self.hub.len().max(1);
            for hub in self.hub.iter_mut().filter(|hub| hub.config.memory_max == 0) {
                hub.config.memory_max = part;
            }
            // Where that leaves too little it is said when the server is made.
            let Ok(Some(plan)) = Server::new(self.engine()).memory_plan() else { return };
            // One message has to fit where it is read.
            let (longest, output) = (plan.limits.input_max, plan.limits.output_high);
            for hub in &mut self.hub {
                let config = &mut hub.config;
                config.packet_max = config.packet_max.min(longest);
                config.connect_max = config.connect_max.min(longest);
                config.output_max = config.output_max.min(output);
                config.queue_bytes_max = config.queue_bytes_max.min(config.memory_max / 4);
            }
        }
    }

    /// What hubs keep, each with its bound.
    fn kept(&self) -> Vec<MemoryLine> {
        let mut lines = Vec::new();
        #[cfg(feature = "hub")]
        for hub in self.hub.iter().filter(|_| self.memory > 0) {
            lines.push(MemoryLine::new(crate::joined(&["kept by ", &hub.name]), 1, hub.config.memory_max));
        }
        let _ = &mut lines;
        lines
    }

    fn kept_bytes(&self) -> usize {
        self.kept().iter().fold(0, |sum, line| sum.saturating_add(line.total()))
    }

    /// Of the memory, what is for connections and their buffers; 0 if nothing is said of it.
    pub(super) fn of_engine(&self) -> usize {
        match self.memory {
            0 => 0,
            // Too little is said by `plan`.
            memory => memory.saturating_sub(self.kept_bytes()).max(1),
        }
    }

    /// All of the plan: the engine's part of it, with what hubs keep in front.
    pub(crate) fn whole(&self, plan: MemoryPlan) -> MemoryPlan {
        plan.with(self.kept(), self.kept_bytes())
    }

    /// How the memory is divided for this server, if something is said of it; or that it is too little.
    pub(crate) fn plan(&self, server: &Server) -> Result<Option<MemoryPlan>, Problem> {
        let wrong = |error: windlass::Error| Problem::at(0, &error.to_string());
        match (server.memory_plan(), self.kept_bytes()) {
            (Ok(plan), _) => Ok(plan.map(|plan| self.whole(plan))),
            (Err(error), 0) => Err(wrong(error)),
            (Err(_), kept) => {
                let least = server.memory_least().map_err(wrong)?;
                let what = [
                    "`server.memory` (",
                    &self.memory.to_string(),
                    " bytes) is too little: hubs keep ",
                    &kept.to_string(),
                    " bytes of it, and connections need at least ",
                    &(least / 1024).to_string(),
                    " KiB besides",
                ];
                Err(Problem::at(0, &crate::joined(&what)))
            }
        }
    }
}
