package web

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
)

var escape = regexp.MustCompile("\x1b\\[([0-9;]*)([A-Za-z])")

// ansi turns the colours of a terminal into classes. Other sequences, and what
// cannot be printed, are left out.
func ansi(text string) template.HTML {
	var b strings.Builder
	classes := map[string]bool{}
	open := false
	put := func(s string) {
		s = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, s)
		if s == "" {
			return
		}
		if len(classes) > 0 && !open {
			var names []string
			for _, name := range []string{"bold", "dim", "italic", "underline", "fg0", "fg1", "fg2", "fg3", "fg4", "fg5", "fg6", "fg7"} {
				if classes[name] {
					names = append(names, name)
				}
			}
			b.WriteString(`<span class="` + strings.Join(names, " ") + `">`)
			open = true
		}
		template.HTMLEscape(&b, []byte(s))
	}
	for text != "" {
		at := escape.FindStringSubmatchIndex(text)
		if at == nil {
			put(text)
			break
		}
		put(text[:at[0]])
		if text[at[4]:at[5]] == "m" {
			if open {
				b.WriteString("</span>")
				open = false
			}
			colour(classes, text[at[2]:at[3]])
		}
		text = text[at[1]:]
	}
	if open {
		b.WriteString("</span>")
	}
	return template.HTML(b.String()) //nolint:gosec // all text went through HTMLEscape
}

// colour applies the numbers of one sequence.
func colour(classes map[string]bool, numbers string) {
	for word := range strings.SplitSeq(numbers, ";") {
		n, err := strconv.Atoi(word)
		if err != nil {
			n = 0
		}
		switch {
		case n == 0:
			clear(classes)
		case n == 1:
			classes["bold"] = true
		case n == 2:
			classes["dim"] = true
		case n == 3:
			classes["italic"] = true
		case n == 4:
			classes["underline"] = true
		case n == 22:
			delete(classes, "bold")
			delete(classes, "dim")
		case n >= 30 && n <= 39 || n >= 90 && n <= 97:
			for c := range 8 {
				delete(classes, "fg"+strconv.Itoa(c))
			}
			if n != 38 && n != 39 {
				classes["fg"+strconv.Itoa(n%10)] = true
			}
		}
	}
}
