//! Line charts as SVG, side by side: doublings to the right, a linear scale upwards.

use std::fmt::Write as _;

/// One chart.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x: &'static str,
    pub(super) series: Vec<Series>,
}

/// One line: places to the right, at least 1, with their heights.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) values: Vec<(f64, f64)>,
}

/// Size of one chart with its margins, and of the margins: left, top, right, bottom.
const SIZE: (f64, f64) = (520.0, 360.0);
const MARGINS: (f64, f64, f64, f64) = (70.0, 50.0, 20.0, 60.0);
const COLOURS: [&str; 4] = ["#1f6fb4", "#d9822b", "#3a923a", "#8a5aa8"];
/// Lines across, the axis not counted.
const GRID: u32 = 5;

/// Draws charts side by side.
pub(super) fn draw(charts: &[Chart]) -> String {
    let (width, height) = (SIZE.0 * charts.len() as f64, SIZE.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, chart) in charts.iter().enumerate() {
        // Writing to a text cannot fail.
        let _ = writeln!(
            svg,
            "<g transform=\"translate({},0)\">",
            SIZE.0 * number as f64
        );
        Area::of(chart).draw(chart, &mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where values lie in the picture.
struct Area {
    /// Doublings from 1 to the last value.
    doublings: f64,
    /// The height of the uppermost line.
    top: f64,
}

impl Area {
    fn of(chart: &Chart) -> Self {
        let values = chart.series.iter().flat_map(|series| &series.values);
        let highest = values.clone().map(|value| value.1).fold(1.0, f64::max);
        let last = values.map(|value| value.0).fold(2.0, f64::max);
        Self {
            doublings: last.log2(),
            top: round_up(highest / f64::from(GRID)) * f64::from(GRID),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let width = SIZE.0 - MARGINS.0 - MARGINS.2;
        MARGINS.0 + width * value.max(1.0).log2() / self.doublings
    }

    fn y(&self, value: f64) -> f64 {
        let height = SIZE.1 - MARGINS.1 - MARGINS.3;
        MARGINS.1 + height * (1.0 - value / self.top)
    }

    fn draw(&self, chart: &Chart, svg: &mut String) {
        let (left, right) = (MARGINS.0, SIZE.0 - MARGINS.2);
        text(svg, (SIZE.0 / 2.0, 20.0), "middle", chart.title);
        text(svg, (SIZE.0 / 2.0, SIZE.1 - 22.0), "middle", chart.x);
        for line in 0..=GRID {
            let value = self.top * f64::from(line) / f64::from(GRID);
            let y = self.y(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>"
            );
            text(svg, (left - 8.0, y + 4.0), "end", &format!("{value}"));
        }
        if let Some(first) = chart.series.first() {
            for (x, _) in &first.values {
                let place = (self.x(*x), self.y(0.0) + 18.0);
                text(svg, place, "middle", &format!("{x}"));
            }
        }
        for (number, series) in chart.series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            self.line(series, colour, svg);
            let x = left + 170.0 * number as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"32\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
            );
            text(svg, (x + 16.0, 41.0), "start", series.name);
        }
    }

    fn line(&self, series: &Series, colour: &str, svg: &mut String) {
        let place = |&(x, y): &(f64, f64)| (self.x(x), self.y(y));
        let places: Vec<_> = series.values.iter().map(place).collect();
        let points = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}"));
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        for (x, y) in places {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333\">{text}</text>"
    );
}

/// To a number that is easy to read: 1, 2, 2.5 or 5 with zeros behind it.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0];
    let fits = steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value);
    fits.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_easy_to_read() {
        let rounded: Vec<f64> = [0.0, 1.0, 3.0, 7.0, 1_900.0, 2_100.0]
            .into_iter()
            .map(round_up)
            .collect();
        assert_eq!(rounded, [1.0, 1.0, 5.0, 10.0, 2_000.0, 2_500.0]);
    }

    #[test]
    fn every_value_lies_within_its_chart() {
        let values = vec![(1.0, 100.0), (64.0, 9_000.0), (1_024.0, 0.0)];
        let series = vec![Series {
            name: "sagas",
            values,
        }];
        let chart = Chart {
            title: "t",
            x: "x",
            series,
        };
        let area = Area::of(&chart);
        assert_eq!(
            (area.x(1.0), area.x(1_024.0)),
            (MARGINS.0, SIZE.0 - MARGINS.2)
        );
        assert_eq!(
            (area.y(0.0), area.y(10_000.0)),
            (SIZE.1 - MARGINS.3, MARGINS.1)
        );
        let svg = draw(&[chart]);
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
