//! Names, numbers and types on the wire, compared with a checked-in list that may
//! only grow: what is changed or removed breaks somebody who runs already.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorProto};

use crate::elements::{Kind, elements};

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/frozen.txt");
const REWRITE: &str = "AMENDS_REWRITE_FROZEN";

#[test]
fn the_wire_format_only_grows() {
    let now = wire_format(&crate::files());
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(LIST, now.join("\n") + "\n").unwrap();
    }
    let list = std::fs::read_to_string(LIST).unwrap_or_default();
    let complaints = compare(&list.lines().collect::<Vec<_>>(), &now);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn changes_are_noticed() {
    let check = |now: &[&str], expected: &[&str]| {
        let now: Vec<String> = now.iter().map(|line| (*line).to_owned()).collect();
        let found = compare(&["a.x = 1 string", "a.y = 2 bytes"], &now);
        let found: Vec<&str> = found
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(found, expected, "{now:?}");
    };
    check(&["a.x = 1 string", "a.y = 2 bytes"], &[]);
    check(
        &["a.x = 1 string", "a.y = 3 bytes"],
        &["a.y = 2 bytes", "a.y = 3 bytes"],
    );
    check(&["a.x = 1 string"], &["a.y = 2 bytes"]);
    check(
        &["a.x = 1 string", "a.y = 2 bytes", "a.z = 3 bytes"],
        &["a.z = 3 bytes"],
    );
}

fn compare(list: &[&str], now: &[String]) -> Vec<String> {
    let gone = list
        .iter()
        .filter(|line| !now.iter().any(|other| other == *line));
    let new = now.iter().filter(|line| !list.contains(&line.as_str()));
    gone.map(|line| {
        format!("{line}: is on the wire already, so it must stay (mark a field deprecated instead)")
    })
    .chain(new.map(|line| {
        format!("{line}: is new, add it to the list with {REWRITE}=1 cargo test -p amends-proto")
    }))
    .collect()
}

fn wire_format(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut lines = Vec::new();
    for element in files.iter().flat_map(elements) {
        let name = &element.full_name;
        match element.kind {
            Kind::Field(field) => {
                lines.push(format!("{name} = {} {}", field.number(), type_of(field)));
            }
            Kind::EnumValue(_, value) => lines.push(format!("{name} = {}", value.number())),
            Kind::Method(_, method) => {
                let stream = |is_stream| if is_stream { "stream " } else { "" };
                lines.push(format!(
                    "{name}({}{}) returns ({}{})",
                    stream(method.client_streaming()),
                    method.input_type().trim_start_matches('.'),
                    stream(method.server_streaming()),
                    method.output_type().trim_start_matches('.'),
                ));
            }
            Kind::Message | Kind::Oneof | Kind::Enum(_) | Kind::Service => {}
        }
    }
    lines.sort();
    lines
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let repeated = if field.label() == Label::Repeated {
        "repeated "
    } else {
        ""
    };
    let name = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    format!("{repeated}{name}")
}
