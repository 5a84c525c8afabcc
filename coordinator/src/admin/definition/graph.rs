//! A definition as a picture: Mermaid or Graphviz text.
//!
//! Steps stand in the order of their dependencies; a dotted arrow leads to the
//! compensation; a pivot is a hexagon, a retriable step has round ends.

use std::fmt::Write as _;

use clap::ValueEnum;

use super::super::definition_file::{DefinitionFile, KindFile, StepFile};

/// The drawing language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum GraphForm {
    /// Mermaid flowchart
    #[default]
    Mermaid,
    /// Graphviz
    Dot,
}

/// The text of the picture. Steps that name each other in a circle are drawn as they are.
pub(super) fn draw(definition: &DefinitionFile, form: GraphForm) -> String {
    match form {
        GraphForm::Mermaid => mermaid(definition),
        GraphForm::Dot => dot(definition),
    }
}

/// The kind as people write it.
pub(super) fn kind_name(step: &StepFile) -> &'static str {
    match step.kind {
        None | Some(KindFile::Compensable) => "compensable",
        Some(KindFile::Pivot) => "pivot",
        Some(KindFile::Retriable) => "retriable",
    }
}

/// Arrows between steps by their places in the list; unknown names have no arrow.
fn arrows(definition: &DefinitionFile) -> Vec<(usize, usize)> {
    let place = |name: &String| definition.steps.iter().position(|step| step.name == *name);
    let before = |(to, step): (usize, &StepFile)| {
        step.after
            .iter()
            .filter_map(place)
            .map(|from| (from, to))
            .collect::<Vec<_>>()
    };
    definition
        .steps
        .iter()
        .enumerate()
        .flat_map(before)
        .collect()
}

fn mermaid(definition: &DefinitionFile) -> String {
    let quoted = |text: &str| {
        text.replace('"', "#quot;")
            .replace('<', "#lt;")
            .replace('>', "#gt;")
    };
    let mut out = format!(
        "---\ntitle: \"{} v{}\"\n---\nflowchart LR\n",
        quoted(&definition.name),
        definition.version
    );
    for (index, step) in definition.steps.iter().enumerate() {
        let (open, close) = match step.kind {
            Some(KindFile::Pivot) => ("{{", "}}"),
            Some(KindFile::Retriable) => ("([", "])"),
            _ => ("[", "]"),
        };
        let label = format!("{}<br/>{}", quoted(&step.name), quoted(&step.target));
        let _ = writeln!(out, "  s{index}{open}\"{label}\"{close}");
        if !step.compensation.is_empty() {
            let _ = writeln!(
                out,
                "  s{index} -. undo .-> u{index}[/\"{}\"/]",
                quoted(&step.compensation)
            );
        }
    }
    for (from, to) in arrows(definition) {
        let _ = writeln!(out, "  s{from} --> s{to}");
    }
    out
}

fn dot(definition: &DefinitionFile) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = format!(
        "digraph saga {{\n  rankdir=LR;\n  label=\"{} v{}\";\n  node [shape=box];\n",
        quoted(&definition.name),
        definition.version
    );
    for (index, step) in definition.steps.iter().enumerate() {
        let style = match step.kind {
            Some(KindFile::Pivot) => ", shape=hexagon",
            Some(KindFile::Retriable) => ", style=rounded",
            _ => "",
        };
        let _ = writeln!(
            out,
            "  s{index} [label=\"{}\\n{}\"{style}];",
            quoted(&step.name),
            quoted(&step.target)
        );
        if !step.compensation.is_empty() {
            let _ = writeln!(
                out,
                "  u{index} [label=\"{}\", shape=parallelogram];",
                quoted(&step.compensation)
            );
            let _ = writeln!(
                out,
                "  s{index} -> u{index} [label=\"undo\", style=dotted];"
            );
        }
    }
    for (from, to) in arrows(definition) {
        let _ = writeln!(out, "  s{from} -> s{to};");
    }
    out.push_str("}\n");
    out
}
