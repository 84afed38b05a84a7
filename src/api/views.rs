//! The operations behind the web page, which are bounded in size.

use serde::Serialize;

use super::fault::Fault;
use super::findings::Diagnosis;
use super::service::{LedgerOperations, OperationReply};
use super::view_inputs::{
    BillInput, FigureInput, ImportsInput, LineInput, LogInput, NoInput, OverviewInput, ShowInput, SummariesInput,
};
use super::{bill, figure, findings, imports, log, overview, show};
use crate::import::{self, ImportOptions};
use crate::model::event::Position;

/// Maximum number of problems in an answer.
const FINDINGS: usize = 100;

/// Problems, each with a remedy.
#[derive(Serialize)]
struct Warnings {
    position: Position,
    /// Number of logs that an import would read; `None` if this program does not look for logs.
    changed_logs: Option<u64>,
    findings: Vec<Diagnosis>,
}

/// What a client needs to know of the program that answers.
#[derive(Serialize)]
struct About {
    name: &'static str,
    version: &'static str,
    /// The zone of days, weeks and months.
    zone: String,
    /// The key that checks the signatures of this program; `None` if it does not sign.
    verifier: Option<String>,
}

/// Keeps the first problems. The last one then states that there are more.
fn shortened(mut findings: Vec<Diagnosis>) -> Vec<Diagnosis> {
    let is_longer = findings.len() > FINDINGS;
    findings.truncate(FINDINGS);
    if let Some(last) = findings.last_mut().filter(|_| is_longer) {
        "this and further problems are not listed here".clone_into(&mut last.what);
        "usage-ledger doctor".clone_into(&mut last.remedy);
    }
    findings
}

impl LedgerOperations {
    /// Today, this week and this month, and the windows of every account.
    pub fn overview(&self, input: &OverviewInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = overview::answer(snapshot, self.zone, now)?.with_last_switches();
            OperationReply::varying(&answer, &(&answer.status.state, &answer.periods))
        })
    }

    /// Lists summaries of events, the latest first.
    pub fn log(&self, input: &LogInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, now| {
            let answer = log::answer(snapshot, input, &input.filter(self.zone, now)?)?;
            if input.is_timeless() { OperationReply::new(answer) } else { OperationReply::varying(&answer, &answer) }
        })
    }

    /// Summarises given events.
    pub fn summaries(&self, input: &SummariesInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| OperationReply::new(log::summaries(snapshot, input)?))
    }

    /// Shows one event with its current values and its proof.
    pub fn show(&self, input: &ShowInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| {
            let (shown, ..) = show::answer(snapshot, show::find(snapshot, &input.event)?)?;
            OperationReply::new(shown.without_long_line())
        })
    }

    /// Returns a part of the line of an event.
    pub fn line(&self, input: &LineInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| {
            OperationReply::new(show::line(snapshot, show::find(snapshot, &input.event)?, input.from)?)
        })
    }

    /// Returns the numbers of a figure.
    pub fn figure(&self, input: &FigureInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = figure::answer(snapshot, input, self.zone, now)?;
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Returns what recorded statements confirm.
    pub fn bill(&self, input: &BillInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = bill::answer(snapshot, input, now)?;
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Lists runs of importers, the latest first.
    pub fn imports(&self, input: &ImportsInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| OperationReply::new(imports::answer(snapshot, input)?))
    }

    /// Lists problems of the ledger, and counts logs that are not imported yet.
    pub fn warnings(&self, _: &NoInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, now| {
            let (_, findings) = findings::of_ledger(snapshot, now)?;
            let changed = |homes: &Vec<_>| {
                import::changed_logs(snapshot, &ImportOptions { homes: homes.clone(), ..ImportOptions::default() })
            };
            let changed_logs = self.homes.as_ref().map(changed).transpose()?;
            let findings = shortened(findings);
            let answer = Warnings { position: snapshot.head()?.position, changed_logs, findings };
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Describes this program.
    pub fn about(&self, _: &NoInput) -> Result<OperationReply, Fault> {
        OperationReply::new(About {
            name: "usage-ledger",
            version: env!("CARGO_PKG_VERSION"),
            zone: self.zone.to_string(),
            verifier: self.signer.as_ref().map(|signer| signer.verifier().to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::Topic;
    use super::*;

    #[test]
    fn a_shortened_list_states_that_there_are_more_problems() {
        let finding = |number: usize| Diagnosis {
            about: Topic::Event(Position::new(number as u64)),
            what: "it is implausible".to_owned(),
            remedy: "void it".to_owned(),
        };
        let of = |count: usize| shortened((1..=count).map(finding).collect());
        assert!(of(0).is_empty());
        assert_eq!(of(FINDINGS)[FINDINGS - 1].what, "it is implausible");
        let many = of(FINDINGS + 1);
        assert_eq!((many.len(), &*many[FINDINGS - 1].remedy), (FINDINGS, "usage-ledger doctor"));
        assert!(many[FINDINGS - 1].what.contains("further problems"));
    }
}
