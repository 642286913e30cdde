//! A load on one server that runs in slices, whatever it says.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use windlass_proto::mqtt::Version;

use super::server::Server;
use super::workloads::{Says, Workload};
use crate::args::Target;
use crate::echo::{self, EchoOptions, EchoReport, IdleReport};
use crate::http::HttpSpeech;
use crate::load::{Options, Report, ServerUse, Sliced};
use crate::mqtt::{self, MqttOptions};
use crate::proc::Cpu;
use crate::udp::UdpLoad;

/// Drives its server for a slice.
type Slice = Box<dyn FnMut(Duration) -> Result<Report>>;

/// A workload on one server.
pub(super) struct Drive {
    options: EchoOptions,
    slice: Slice,
}

impl Drive {
    /// Connects to `server`; nothing is sent yet, but where the answer has to be known first.
    pub(super) fn of(workload: &Workload, server: &Server) -> Result<Drive> {
        let mut options = workload.options(Duration::ZERO);
        options.load.target = server.target.clone();
        options.load.pid = Some(server.pid());
        let slice: Slice = match workload.says {
            Says::Echo => {
                let mut load = echo::sliced(&options)?;
                Box::new(move |length| load.slice(length))
            }
            Says::Http { body } => {
                options.load.churn = options.mode == echo::Mode::Churn;
                let speech = HttpSpeech::to_ask(&format!("/{body}"), options.load.churn);
                let speech = speech.learn(&options.load)?;
                let mut load = Sliced::prepare(&speech, &options.load)?;
                Box::new(move |length| load.slice(length))
            }
            Says::Datagrams { peers } => {
                let (Target::Tcp(at) | Target::Udp(at)) = server.target else { bail!("not on UDP") };
                let mut load = UdpLoad::new(at, peers, options.load.size, options.load.connections)?;
                let (pid, told) = (server.pid(), options.load.clone());
                Box::new(move |length| datagrams(&mut load, length, pid, &told))
            }
            Says::Mqtt { mode: mqtt::Mode::Connect, .. } => {
                let hub = hub_options(workload, &options.load);
                let mut load = Sliced::prepare(&mqtt::StormSpeech::new(&hub), &hub.load)?;
                Box::new(move |length| load.slice(length))
            }
            Says::Mqtt { .. } => {
                let mut load = mqtt::Sliced::prepare(&hub_options(workload, &options.load))?;
                Box::new(move |length| load.slice(length))
            }
        };
        Ok(Drive { options, slice })
    }

    /// Drives the server for `length`, and tells what came of it.
    pub(super) fn slice(&mut self, length: Duration) -> Result<EchoReport> {
        let load = (self.slice)(length)?;
        Ok(EchoReport { load, ..EchoReport::new(&self.options) })
    }
}

/// What a workload asks of a broker.
fn hub_options(workload: &Workload, load: &Options) -> MqttOptions {
    let Says::Mqtt { mode, qos } = workload.says else {
        return MqttOptions::new(load.clone(), mqtt::Mode::Pairs, 1, 0);
    };
    let options = MqttOptions::new(load.clone(), mode, load.connections, qos);
    // What every broker speaks. What is acknowledged alone has to be kept for whoever comes.
    MqttOptions { version: Version::V311, retain: mode == mqtt::Mode::Publish, ..options }
}

/// Holds idle connections.
pub(super) fn hold(workload: &Workload, options: EchoOptions) -> Result<EchoReport> {
    let (load, idle) = mqtt::hold(&hub_options(workload, &options.load), &mut |_| {})?;
    let idle = IdleReport {
        connections: idle.connections,
        resident_kib: idle.resident_kib.map(|[before, open]| [before, open, open]),
        cpu_share: idle.cpu_share,
    };
    Ok(EchoReport { load, idle: Some(idle), ..EchoReport::new(&options) })
}

fn datagrams(load: &mut UdpLoad, length: Duration, pid: u32, options: &Options) -> Result<Report> {
    let (before, ours) = (Cpu::of(pid)?, Cpu::of_this_thread());
    let tally = load.run(length)?;
    let (cpu, ours) = (Cpu::of(pid)?.since(before), Cpu::of_this_thread().since(ours));
    let example = tally.example.unwrap_or_default();
    ensure!(tally.wrong == 0, "{} datagrams that were not sent so: {example}", tally.wrong);
    let mut report = Report::new(&Options { duration: length, ..options.clone() });
    report.unit = "datagrams";
    report.measured = Duration::from_secs_f64(tally.seconds);
    (report.messages, report.total_messages) = (tally.answered, tally.answered);
    report.bytes = tally.answered * options.size as u64;
    report.lost = tally.lost;
    report.latency = tally.latency;
    let wall = (tally.seconds * 1e9).max(1.0);
    report.generator_idle = (1.0 - (ours.total + ours.waited) as f64 / wall).clamp(0.0, 1.0);
    report.generator_waited = (ours.waited as f64 / wall).clamp(0.0, 1.0);
    report.server = Some(ServerUse { cpu, messages: tally.answered, resident_kib: 0 });
    Ok(report)
}
