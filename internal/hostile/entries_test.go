package hostile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

func sortByName(all []attack) {
	slices.SortStableFunc(all, func(a, b attack) int {
		return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.name, b.name))
	})
}

// entry makes the text of a stream entry.
func entry(pairs ...string) string { return strings.Join(pairs, "\x1f") }

func jsonAttacks() [][2]string {
	return [][2]string{
		{"nothing", ""}, {"half an object", `{"a":`}, {"two values", `1 2`}, {"NaN", `NaN`}, {"Infinity", `-Infinity`}, {"a huge exponent", `1e999999999`}, {"a long number", strings.Repeat("9", 400)}, {"a lone surrogate", `"\ud800"`}, {"NUL", "\"\x00\""}, {"an escaped NUL", `"\u0000"`}, {"invalid UTF-8", "\"\xff\""}, {"a key twice", `{"a":1,"a":2}`}, {"a comment", `{/* x */}`}, {"single quotes", `{'a':1}`}, {"a trailing comma", `[1,]`}, {"hexadecimal", `0x10`}, {"a byte order mark", "\ufeff{}"}, {"leading zeros", `007`}, {"proto", `{"__proto__":{"x":1}}`},
	}
}

func submissionAttacks() [][2]string {
	return [][2]string{
		{"nothing", ""}, {"no recipe", entry("by=x")}, {"recipe and definition", entry("recipe=a", "definition=b")}, {"recipe and from", entry("recipe=a", "from=b")}, {"from with inputs", entry("from=a", "inputs={}")}, {"an unknown field", entry("recipe=a", "recipes=b")}, {"inputs as a list", entry("recipe=a", "inputs=[1]")}, {"inputs as text", entry("recipe=a", `inputs="x"`)}, {"inputs cut off", entry("recipe=a", `inputs={"a":`)}, {"two inputs", entry("recipe=a", "inputs={} {}")}, {"labels as a list", entry("recipe=a", "labels=[]")}, {"labels of numbers", entry("recipe=a", `labels={"a":1}`)}, {"an input without a name", entry("recipe=a", "input.=x")}, {"an input named proto", entry("recipe=a", "input.__proto__=x")}, {"a path as recipe", entry("recipe=../../etc/passwd")}, {"NUL in the recipe", entry("recipe=a\x00b")}, {"null inputs", entry("recipe=a", "inputs=null")},
	}
}

func eventAttacks() [][2]string {
	packed := func(events string) string { return entry("v=2", "worker=w", "events="+events) }
	with := func(members string) string { return packed(`[{"run":"r","task":"a","fence":"p",` + members + `}]`) }
	return [][2]string{
		{"nothing", ""},
		{"no version", entry(`events=[{"type":"succeeded","run":"r"}]`)},
		{"version 1", entry("v=1", "type=succeeded", "run=r")},
		{"no run", packed(`[{"type":"succeeded"}]`)},
		{"no type", packed(`[{"run":"r"}]`)},
		{"an unknown type", with(`"type":"explode"`)},
		{"the type start", with(`"type":"start"`)},
		{"the type broken", with(`"type":"broken"`)},
		{"the type timerFired", with(`"type":"timerFired"`)},
		{"a result that is no JSON", with(`"type":"succeeded","result":{`)},
		{"a result NaN", with(`"type":"succeeded","result":NaN`)},
		{"an error that is text", with(`"type":"failed","error":"no"`)},
		{"an error that is a list", with(`"type":"failed","error":[1]`)},
		{"progress NaN", with(`"type":"progress","progress":NaN`)},
		{"progress infinite", with(`"type":"progress","progress":1e999`)},
		{"progress as text", with(`"type":"progress","progress":"much"`)},
		{"progress -1", with(`"type":"progress","progress":-1`)},
		{"retryAfter huge", with(`"type":"failed","retryAfter":99999999999999999999`)},
		{"retryAfter negative", with(`"type":"failed","retryAfter":-5`)},
		{"at as text", with(`"type":"started","at":"now"`)},
		{"NUL in the run", packed(`[{"type":"cancel","run":"r\u0000"}]`)},
		{"a run with a brace", packed(`[{"type":"cancel","run":"{0}:x"}]`)},
		{"an object", packed(`{"type":"cancel","run":"r"}`)},
		{"no events", packed(`[]`)},
		{"a number among the events", packed(`[1,{"type":"cancel","run":"r"}]`)},
		{"cut off", packed(`[{"type":"cancel","run":"r"}`)},
		{"text behind", packed(`[{"type":"cancel","run":"r"}] x`)},
		{"the run twice", packed(`[{"type":"cancel","run":"r","run":"s"}]`)},
		{"100,000 levels", packed(`[` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `]`)},
		{"300 events", packed(`[` + strings.Repeat(`{"type":"cancel","run":"r"},`, 299) + `{"type":"cancel","run":"r"}]`)},
	}
}

func ticketAttacks() [][2]string {
	ticket := func(text string) string { return entry("v=2", "ticket="+text) }
	with := func(members string) string { return ticket(`{"r":"r","t":"a","f":"p","h":"h",` + members + `}`) }
	return [][2]string{
		{"nothing", ""}, {"version 9", entry("v=9", `ticket={"r":"r","t":"a","f":"p","h":"h"}`)}, {"version 1", entry("v=1", "run=r", "task=a", "fence=p", "handler=h")}, {"no fence", ticket(`{"r":"r","t":"a","h":"h"}`)}, {"no handler", ticket(`{"r":"r","t":"a","f":"p"}`)}, {"inputs that are no JSON", with(`"i":{`)}, {"env that is no JSON", with(`"e":x`)}, {"secrets that are no JSON", with(`"s":{`)}, {"attempt as text", with(`"n":"one"`)}, {"attempt huge", with(`"n":99999999999999999999`)}, {"attempt -1", with(`"n":-1`)}, {"timeout as text", with(`"to":"5s"`)}, {"timeout negative", with(`"to":-1`)}, {"a handler with a path", ticket(`{"r":"r","t":"a","f":"p","h":"../../bin/sh"}`)}, {"a list", ticket(`[]`)}, {"a list as run", ticket(`{"r":["r"],"t":"a","f":"p","h":"h"}`)},
	}
}

func taskAttacks() [][2]string {
	return [][2]string{
		{"nothing", ""}, {"null", "null"}, {"a list", "[]"}, {"text", `"x"`}, {"an unknown state", `{"state":"asleep"}`}, {"no state", `{}`}, {"attempt 1e99", `{"state":"queued","attempt":1e99}`}, {"attempt as text", `{"state":"queued","attempt":"1"}`}, {"error as text", `{"state":"failed","error":"x"}`}, {"cut off", `{"state":"que`}, {"unknown fields", `{"state":"queued","x":1}`},
	}
}

func runAttacks() [][2]string {
	return [][2]string{
		{"nothing", ""}, {"an unknown state", entry("state=asleep")}, {"version as text", entry("state=running", "version=x")}, {"version negative", entry("state=running", "version=-1")}, {"version huge", entry("state=running", "version=99999999999999999999")}, {"counts as text", entry("state=running", "counts=x")}, {"counts negative", entry("state=running", `counts={"pending":-1}`)}, {"labels as list", entry("state=running", "labels=[]")}, {"error as list", entry("state=running", "error=[]")}, {"created as text", entry("state=running", "created=now")},
	}
}

// large are those whose text is large or grows when it is read.
func large() []attack {
	repeat := func(s string, n int) func() string { return func() string { return strings.Repeat(s, n) } }
	jobs := func(n int, line func(i int) string) func() string {
		return func() string {
			var b strings.Builder
			b.WriteString("jobs:\n")
			for i := range n {
				b.WriteString(line(i))
			}
			return b.String()
		}
	}
	laughs := func() string {
		var b strings.Builder
		b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
		for i := 1; i < 12; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
		}
		return b.String() + "jobs: {a: {job: debug}}\n"
	}
	return []attack{
		{family: "definition", name: "a billion laughs", text: laughs},
		{family: "inputs", name: "a billion laughs", text: laughs},
		{family: "definition", name: "2,000 aliases", text: func() string { return "x: &x 1\ny: [" + strings.Repeat("*x, ", 2000) + "1]\n" }},
		{family: "definition", name: "a MiB of [", text: repeat("[", 1<<20-1)},
		{family: "definition", name: "a MiB of {", text: repeat("{", 1<<20-1)},
		{family: "definition", name: "a MiB of -", text: repeat("- ", 1<<19-1)},
		{family: "definition", name: "a MiB of ?", text: repeat("? ", 1<<19-1)},
		{family: "definition", name: "more than a MiB", text: repeat("# x\n", 1<<19)},
		{family: "definition", name: "a line of a MiB", text: func() string { return "description: " + strings.Repeat("x", 1<<20-40) + "\njobs: {a: {job: debug}}\n" }},
		{family: "definition", name: "10,000 levels", text: func() string { return strings.Repeat("{a: ", 10_000) + "1" + strings.Repeat("}", 10_000) }},
		{family: "definition", name: "65 levels of inputs", text: func() string {
			return "jobs: {a: {job: debug, inputs: " + strings.Repeat("{a: ", 65) + "1" + strings.Repeat("}", 65) + "}}"
		}},
		{family: "definition", name: "20,000 keys the same", text: repeat("a: 1\n", 20_000)},
		{family: "definition", name: "20,000 unknown keys", text: func() string {
			var b strings.Builder
			for i := range 20_000 {
				fmt.Fprintf(&b, "k%d: 1\n", i)
			}
			return b.String()
		}},
		{family: "definition", name: "a name of 500 KiB", text: func() string { return "jobs: {" + strings.Repeat("a", 500<<10) + ": {job: debug}}" }},
		{family: "definition", name: "an expression of 500 KiB", text: func() string {
			return "jobs: {a: {job: debug, inputs: {x: \"${" + strings.Repeat("1+", 250<<10) + "1}\"}}}"
		}},
		{family: "definition", name: "100,000 expressions in a text", text: func() string {
			return "jobs: {a: {job: debug, inputs: {x: \"" + strings.Repeat("${1}", 100_000) + "\"}}}"
		}},
		{family: "expression", name: "10,000 brackets", text: func() string { return "${" + strings.Repeat("(", 10_000) + "1" + strings.Repeat(")", 10_000) + "}" }},
		{family: "expression", name: "10,000 lists in lists", text: func() string { return "${" + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}" }},
		{family: "expression", name: "10,000 negations", text: func() string { return "${" + strings.Repeat("!", 10_000) + "true}" }},
		{family: "expression", name: "10,000 questions", text: func() string {
			return "${" + strings.Repeat("true ? ", 10_000) + "1" + strings.Repeat(" : 0", 10_000) + "}"
		}},
		{family: "expression", name: "a path of 10,000", text: func() string { return "${inputs" + strings.Repeat(".a", 10_000) + "}" }},
		{family: "expression", name: "a text that doubles", text: is("${replace(replace(replace(replace(inputs.text, 'x', inputs.text), 'x', inputs.text), 'x', inputs.text), 'x', inputs.text)}")},
		{family: "json", name: "100,000 lists in lists", text: func() string { return strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) }},
		{family: "json", name: "a MiB of text", text: func() string { return `"` + strings.Repeat("x", 1<<20) + `"` }},
		{family: "json", name: "100,000 keys", text: func() string {
			var b strings.Builder
			b.WriteString("{")
			for i := range 100_000 {
				fmt.Fprintf(&b, "%q:1,", fmt.Sprint("k", i))
			}
			return b.String() + `"z":1}`
		}},
		{family: "submission", name: "inputs above the limit", text: func() string { return entry("recipe=a", `inputs={"a":"`+strings.Repeat("x", 1<<20)+`"}`) }},
		{family: "submission", name: "inputs nested 100,000 deep", text: func() string {
			return entry("recipe=a", `inputs={"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}")
		}},
		{family: "graph", name: "100,000 jobs in a row", most: 2048, text: jobs(100_000, func(i int) string {
			return fmt.Sprintf("  j%d: {job: debug, dependsOn: [%s]}\n", i, map[bool]string{true: "", false: fmt.Sprint("j", i-1)}[i == 0])
		})},
		{family: "graph", name: "a ring of 100,000 jobs", most: 2048, text: jobs(100_000, func(i int) string {
			return fmt.Sprintf("  j%d: {job: debug, dependsOn: [j%d]}\n", i, (i+99_999)%100_000)
		})},
		{family: "graph", name: "a fan of 100,000 jobs", most: 2048, text: jobs(100_000, func(i int) string {
			return fmt.Sprintf("  j%d: {job: debug, dependsOn: [%s]}\n", i, map[bool]string{true: "", false: "j0"}[i == 0])
		})},
		{family: "graph", name: "100,001 jobs", most: 2048, text: jobs(100_001, func(i int) string { return fmt.Sprintf("  j%d: {job: debug}\n", i) })},
	}
}
