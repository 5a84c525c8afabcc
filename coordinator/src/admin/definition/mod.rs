//! `amends definition`.

mod graph;

use std::path::PathBuf;
use std::str::FromStr;

use amends_proto::v1::{
    DefinitionRef, GetDefinitionRequest, ListDefinitionsRequest, RegisterDefinitionRequest,
    SagaDefinition,
};
use clap::{Args, Subcommand};

use super::connect::{ConnectArgs, Remote};
use super::definition_file::{DefinitionFile, StepFile};
use super::error::{CommandError, note};
use super::exit::Exit;
use super::output::{Format, Listing, pairs, print, print_one, table};
use super::page::read_pages;
use super::view::DefinitionView;
use graph::GraphForm;

/// Arguments of `amends definition`.
#[derive(Debug, Args)]
pub(super) struct DefinitionArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: DefinitionCommand,
}

#[derive(Debug, Subcommand)]
enum DefinitionCommand {
    /// List registered definitions
    List {
        /// Only names that begin with this
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Show one registered definition
    #[command(
        after_help = "The JSON output holds the definition in the form that `register` reads:\n  \
        amends definition get shop.confirm-order -o json | jq .definition > order.json"
    )]
    Get {
        /// The definition; without a version the highest one
        #[arg(value_name = "NAME[@VERSION]")]
        definition: NameAndVersion,
    },
    /// Register a definition from a JSON or TOML file
    Register {
        /// The file; - reads standard input
        file: PathBuf,
    },
    /// Draw the steps, their order and their compensations
    #[command(
        after_help = "Examples:\n  amends definition graph shop.confirm-order\n  \
        amends definition graph --file order.toml --format dot | dot -Tsvg > order.svg"
    )]
    Graph {
        /// A registered definition; without a version the highest one
        #[arg(
            value_name = "NAME[@VERSION]",
            required_unless_present = "file",
            conflicts_with = "file"
        )]
        definition: Option<NameAndVersion>,
        /// Draw this JSON or TOML file instead; needs no coordinator
        #[arg(long)]
        file: Option<PathBuf>,
        /// The drawing language
        #[arg(long, value_enum, default_value_t)]
        format: GraphForm,
    },
}

/// `name` or `name@version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameAndVersion {
    name: String,
    version: u32,
}

impl NameAndVersion {
    /// As the API names it.
    pub(super) fn to_proto(&self) -> DefinitionRef {
        DefinitionRef {
            name: self.name.clone(),
            version: self.version,
        }
    }
}

impl FromStr for NameAndVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, 0),
            Some((name, version)) => match version.parse() {
                Ok(version) if version > 0 => (name, version),
                _ => {
                    return Err(format!(
                        "{version:?} is no version; expected a number from 1 on"
                    ));
                }
            },
        };
        if name.is_empty() {
            return Err("the name is empty".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

pub(super) fn run(args: DefinitionArgs) -> Result<Exit, CommandError> {
    let connect = &args.connect;
    match args.command {
        DefinitionCommand::List { prefix } => {
            connect.with(async |remote| list(&remote, connect.output, prefix).await)
        }
        DefinitionCommand::Get { definition } => connect.with(async |remote| {
            print_definition(connect.output, &get(&remote, &definition).await?)?;
            Ok(Exit::Done)
        }),
        DefinitionCommand::Register { file } => {
            let saga = DefinitionFile::read(&file)?.to_proto();
            connect.with(async |remote| register(&remote, connect.output, saga).await)
        }
        DefinitionCommand::Graph {
            file: Some(file),
            format,
            ..
        } => draw(&DefinitionFile::read(&file)?, format),
        DefinitionCommand::Graph {
            definition: Some(definition),
            format,
            ..
        } => {
            connect.with(async |remote| draw(&get(&remote, &definition).await?.definition, format))
        }
        DefinitionCommand::Graph { .. } => Err(CommandError::Usage(
            "name a definition or a file".to_owned(),
        )),
    }
}

async fn list(
    remote: &Remote,
    format: Format,
    prefix: Option<String>,
) -> Result<Exit, CommandError> {
    const HEADERS: [&str; 6] = [
        "NAME",
        "VERSION",
        "STEPS",
        "REGISTERED",
        "HASH",
        "DESCRIPTION",
    ];
    let cells = |view: &DefinitionView| {
        const SHORT_HASH: usize = 12;
        vec![
            view.definition.name.clone(),
            view.definition.version.to_string(),
            view.definition.steps.len().to_string(),
            view.create_time.clone().unwrap_or_default(),
            view.hash.chars().take(SHORT_HASH).collect(),
            view.definition.description.clone(),
        ]
    };
    let mut client = remote.sagas();
    let mut listing = Listing::new(format, &HEADERS, cells);
    let fetch = async |page_size, page_token| {
        let name_prefix = prefix.clone().unwrap_or_default();
        let request = ListDefinitionsRequest {
            name_prefix,
            page_size,
            page_token,
        };
        let page = client.list_definitions(request).await?.into_inner();
        Ok((
            page.definitions.iter().map(Into::into).collect(),
            page.next_page_token,
        ))
    };
    read_pages(None, fetch, |page| listing.push(page)).await?;
    listing.finish()?;
    Ok(Exit::Done)
}

async fn get(remote: &Remote, name: &NameAndVersion) -> Result<DefinitionView, CommandError> {
    let request = GetDefinitionRequest {
        r#ref: Some(name.to_proto()),
    };
    let definition = remote
        .sagas()
        .get_definition(request)
        .await?
        .into_inner()
        .definition;
    Ok(DefinitionView::from(&definition.unwrap_or_default()))
}

async fn register(
    remote: &Remote,
    format: Format,
    saga: SagaDefinition,
) -> Result<Exit, CommandError> {
    let request = RegisterDefinitionRequest { saga: Some(saga) };
    let answer = remote
        .sagas()
        .register_definition(request)
        .await?
        .into_inner();
    if !answer.created {
        note("it was registered before; nothing changed");
    }
    print_definition(
        format,
        &DefinitionView::from(&answer.definition.unwrap_or_default()),
    )?;
    Ok(Exit::Done)
}

fn draw(definition: &DefinitionFile, form: GraphForm) -> Result<Exit, CommandError> {
    print(&graph::draw(definition, form))?;
    Ok(Exit::Done)
}

fn print_definition(format: Format, view: &DefinitionView) -> Result<(), CommandError> {
    print_one(format, view, |view| {
        let saga = &view.definition;
        let step = |step: &StepFile| {
            vec![
                step.name.clone(),
                graph::kind_name(step).to_owned(),
                step.target.clone(),
                if step.compensation.is_empty() {
                    "none".to_owned()
                } else {
                    step.compensation.clone()
                },
                step.after.join(", "),
            ]
        };
        let head = pairs([
            ("name", saga.name.clone()),
            ("version", saga.version.to_string()),
            ("hash", view.hash.clone()),
            ("registered", view.create_time.clone().unwrap_or_default()),
            ("description", saga.description.clone()),
            (
                "deadline",
                saga.deadline
                    .map(|time| crate::config::value::show_duration(time.0))
                    .unwrap_or_default(),
            ),
            (
                "output",
                saga.output
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
        ]);
        let steps = table(
            &["STEP", "KIND", "TARGET", "COMPENSATION", "AFTER"],
            saga.steps.iter().map(step),
        );
        format!("{head}\n{steps}")
    })
}
