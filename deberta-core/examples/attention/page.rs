//! A web page of heat maps, in one file: a row per head, a panel per matrix.

use std::fmt::Write;

use ndarray::Array2;

/// The side of a cell, and the room for the names of tokens, in pixels.
const CELL: usize = 14;
const MARGIN: usize = 96;

/// The page so far.
pub(crate) struct Page {
    html: String,
    tokens: Vec<String>,
}

impl Page {
    pub(crate) fn new(text: &str, layer: usize, tokens: &[String]) -> Self {
        let (text, mut html) = (escaped(text), String::new());
        let _ = write!(
            html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Attention of layer {layer}</title>\n\
             <style>\nbody {{ font: 14px sans-serif; margin: 2em; color: #222 }}\n\
             .row {{ display: flex; flex-wrap: wrap; gap: 2em; margin-bottom: 2em }}\n\
             figure {{ margin: 0 }}\nfigcaption {{ margin-left: {MARGIN}px }}\nsvg text {{ font-size: 11px }}\n</style>\n</head>\n<body>\n\
             <h1>Layer {layer}</h1>\n<p>{text}</p>\n\
             <p>Rows are the tokens that look, columns those that are looked at. Attention goes from white (0) to blue (1); \
             the terms of the scores, in units of the logit, from orange (negative) over white to blue (positive), \
             with the largest of each head at full colour. Point at a cell to read its value.</p>\n"
        );
        Self {
            html,
            tokens: tokens.to_vec(),
        }
    }

    /// Adds a head: attention first, then the terms, which share one scale of colours.
    pub(crate) fn row(&mut self, title: &str, panels: &[(&str, &Array2<f32>)]) {
        let largest = |matrix: &Array2<f32>| matrix.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        let terms = panels.iter().skip(1).map(|(_, matrix)| largest(matrix));
        let terms = terms.fold(f32::MIN_POSITIVE, f32::max);
        let _ = writeln!(self.html, "<h2>{title}</h2>\n<div class=\"row\">");
        for (index, (name, matrix)) in panels.iter().enumerate() {
            let scale = if index == 0 { 1.0 } else { terms };
            self.panel(name, matrix, scale);
        }
        self.html.push_str("</div>\n");
    }

    fn panel(&mut self, name: &str, matrix: &Array2<f32>, scale: f32) {
        let side = MARGIN + CELL * self.tokens.len();
        let html = &mut self.html;
        let _ = writeln!(
            html,
            "<figure><figcaption>{name}</figcaption>\n<svg width=\"{side}\" height=\"{side}\" role=\"img\" aria-label=\"{name}\">"
        );
        for (i, token) in self.tokens.iter().enumerate() {
            let (token, place) = (escaped(token), MARGIN + CELL * i + CELL / 2);
            let edge = MARGIN - 4;
            let _ = writeln!(
                html,
                "<text x=\"{edge}\" y=\"{place}\" text-anchor=\"end\" dominant-baseline=\"middle\">{token}</text>\
                 <text transform=\"translate({place},{edge}) rotate(-90)\" dominant-baseline=\"middle\">{token}</text>"
            );
        }
        for ((i, j), &value) in matrix.indexed_iter() {
            let (x, y) = (MARGIN + CELL * j, MARGIN + CELL * i);
            let (from, to) = (escaped(&self.tokens[i]), escaped(&self.tokens[j]));
            let _ = writeln!(
                html,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{}\"><title>{from} to {to}: {value:.4}</title></rect>",
                colour(value / scale)
            );
        }
        html.push_str("</svg></figure>\n");
    }

    pub(crate) fn finish(mut self) -> String {
        self.html.push_str("</body>\n</html>\n");
        self.html
    }
}

/// From orange (-1) over white to blue (1).
fn colour(value: f32) -> String {
    let (red, green, blue) = if value < 0.0 {
        (230.0, 97.0, 1.0)
    } else {
        (8.0, 81.0, 156.0)
    };
    let strength = value.abs().min(1.0);
    let mix = |end: f32| (255.0 + (end - 255.0) * strength) as u8;
    format!("#{:02x}{:02x}{:02x}", mix(red), mix(green), mix(blue))
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
