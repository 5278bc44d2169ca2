package flow

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchemasAreWritten holds schemas/ equal to the language; -update writes.
func TestSchemasAreWritten(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{KindRecipe, KindFlow, KindContract} {
		want, err := Schema(kind)
		if err != nil {
			t.Fatal(err)
		}
		path := "../../schemas/" + string(kind) + ".schema.json"
		if flag.Lookup("update").Value.String() == "true" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the language says (%v): go test ./pkg/flow -update", path, err)
		}
	}
}

// TestTheTableOfKeysIsTheParsers: the keys that are described are those that
// are read, in every part.
func TestTheTableOfKeysIsTheParsers(t *testing.T) {
	t.Parallel()
	wrong := map[string]string{
		"artifacts": "jobs: {a: {job: x, artifacts: {zzqqxx: 1}}}\n", "delay": "jobs: {a: {delay: {zzqqxx: 1}}}\n",
		"retention":  "retention: {zzqqxx: 1}\njobs: {a: {job: x}}\n",
		"definition": "zzqqxx: 1\njobs: {a: {job: x}}\n", "job": "jobs: {a: {job: x, zzqqxx: 1}}\n", "step": "flows: {a: {zzqqxx: 1}}\n",
		"retries": "jobs: {a: {job: x, retries: {zzqqxx: 1}}}\n", "input": "inputs: {a: {zzqqxx: 1}}\njobs: {a: {job: x}}\n",
		"defaults": "defaults: {zzqqxx: 1}\njobs: {a: {job: x}}\n", "concurrency": "concurrency: {group: g, zzqqxx: 1}\njobs: {a: {job: x}}\n",
		"rateLimit": "jobs: {a: {job: x, rateLimit: {key: k, limit: 1, zzqqxx: 1}}}\n", "cache": "jobs: {a: {job: x, cache: {zzqqxx: 1}}}\n", "approval": "jobs: {a: {approval: {zzqqxx: 1}}}\n",
		"waitFor": "jobs: {a: {waitFor: {signal: s, zzqqxx: 1}}}\n", "schedule": "schedule: {cron: '@daily', zzqqxx: 1}\njobs: {a: {job: x}}\n",
	}
	if diff := cmp.Diff(slices.DeleteFunc(partNames(), func(p string) bool { return p == "range" }), slices.Sorted(maps.Keys(wrong))); diff != "" {
		// A range with another key is a map that is iterated over.
		t.Errorf("not all parts are looked at:\n%s", diff)
	}
	for part, text := range wrong {
		_, diags := loadText(t, text)
		at := slices.IndexFunc(diags, func(d Diagnostic) bool { return d.Code == "E102" })
		if at < 0 {
			t.Errorf("%s: no message about an unknown key: %v", part, diags)
			continue
		}
		read := strings.Split(strings.TrimPrefix(diags[at].Hint, "known are "), ", ")
		var described []string
		for _, k := range keysIn(part) {
			described = append(described, k.name)
			if !strings.HasSuffix(k.doc, ".") {
				t.Errorf("%s.%s has no description", part, k.name)
			}
		}
		slices.Sort(described)
		if diff := cmp.Diff(read, described); diff != "" {
			t.Errorf("%s (-read +described):\n%s", part, diff)
		}
	}
}

func loadText(t *testing.T, text string) (*Bundle, Diagnostics) {
	t.Helper()
	l, err := NewLoader(Options{Root: "../.."})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.LoadText("flows/x.yaml", []byte(text))
}

// corpus is every definition there is here, good and bad, and each of them with
// one key misspelt or one value of another type.
func corpus(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, root := range []string{"../../recipes", "../../flows", "testdata"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".yaml" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s := &source{file: path, out: &Diagnostics{}}
			v := s.parse(text, Options{}.withDefaults())
			if v == nil || v.kind != mapValue || s.out.HasErrors() {
				return nil
			}
			whole := v.plain()
			out[path] = whole
			mutate(path, whole, func(name string, m any) { out[name] = m })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// mutate makes copies of a definition, each with one thing changed.
func mutate(name string, whole any, put func(name string, m any)) {
	var paths [][]any
	var walk func(v any, path []any)
	walk = func(v any, path []any) {
		if len(path) > 6 {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				paths = append(paths, append(slices.Clone(path), k))
				walk(x, append(slices.Clone(path), k))
			}
		case []any:
			for i, x := range v {
				walk(x, append(slices.Clone(path), i))
			}
		}
	}
	walk(whole, nil)
	for _, p := range paths {
		label := fmt.Sprint(name, " ", p)
		put(label+" misspelt", change(whole, p, func(m map[string]any, k string) { m[k+"zzqq"] = m[k]; delete(m, k) }))
		for kind, v := range map[string]any{"a list": []any{[]any{1}}, "a map": map[string]any{"zzqq": 1}, "a negative number": -1, "a text": "zz qq"} {
			put(label+" is "+kind, change(whole, p, func(m map[string]any, k string) { m[k] = v }))
		}
	}
}

func change(whole any, path []any, do func(m map[string]any, key string)) any {
	raw, err := json.Marshal(whole)
	if err != nil {
		return nil
	}
	var twin any
	if err := json.Unmarshal(raw, &twin); err != nil {
		return nil
	}
	at := twin
	for _, k := range path[:len(path)-1] {
		switch k := k.(type) {
		case string:
			at = at.(map[string]any)[k]
		case int:
			at = at.([]any)[k]
		}
	}
	do(at.(map[string]any), path[len(path)-1].(string))
	return twin
}

// beyond is what no schema can say: whether a default fits a declaration, and
// what stands inside a text.
var beyond = regexp.MustCompile(`^(the default of input|a value of the enum of|the pattern of input|the max|maxDelay is shorter|until must be a time|there is no time zone|".*" is not a schedule:)` +
	`|is an output of every approval`)

// TestTheSchemaAgreesWithTheParser: it refuses nothing that the parser takes,
// and takes no key that the parser does not know and no value of another form.
func TestTheSchemaAgreesWithTheParser(t *testing.T) {
	t.Parallel()
	text, err := Schema(KindRecipe)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("recipe.json")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLoader(Options{Root: "../.."})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	refused, taken, bad := 0, 0, 0
	for name, v := range corpus(t) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		_, diags := l.LoadText("flows/x.yaml", raw) // JSON is YAML
		no := schema.Validate(instance)
		form := slices.IndexFunc(diags, func(d Diagnostic) bool {
			return slices.Contains([]string{"E102", "E104", "E106"}, d.Code) && d.File == "flows/x.yaml" && !beyond.MatchString(d.Message)
		})
		switch {
		case no != nil && !diags.HasErrors():
			t.Errorf("%s: the schema refuses what can be read: %v", name, no)
			bad++
		case no == nil && form >= 0:
			t.Errorf("%s: the schema takes what has not the right form: %+v", name, diags[form])
			bad++
		case no != nil:
			refused++
		default:
			taken++
		}
		if bad > 10 {
			t.FailNow()
		}
	}
	t.Logf("%d definitions refused by both, %d taken by the schema", refused, taken)
	if refused < 500 || taken < 100 {
		t.Error("the corpus is too small to mean anything")
	}
}

// TestContractsAreKnownToEditors: the schema of contracts has the keys that are
// read, agrees with what is refused, and each key is described.
func TestContractsAreKnownToEditors(t *testing.T) {
	t.Parallel()
	raw, err := Schema(KindContract)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("contract.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("contract.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "jobs"), 0o750); err != nil {
		t.Fatal(err)
	}
	l, err := NewLoader(Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	whole := map[string]any{
		"handler": "probe", "description": "Measures a film", "version": 2,
		"inputs":  map[string]any{"file": map[string]any{"type": "file"}, "deep": map[string]any{"type": "boolean", "default": false}},
		"outputs": map[string]any{"width": "integer", "height": map[string]any{"type": "integer"}},
	}
	all := map[string]any{"whole": whole, "nothing": map[string]any{}}
	mutate("", whole, func(name string, m any) { all[name] = m })
	taken, refused := 0, 0
	for name, v := range all {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "jobs", "probe.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, diags := l.FileContracts()
		bySchema := schema.Validate(v)
		if (bySchema != nil) != diags.HasErrors() && !slices.ContainsFunc(diags, func(d Diagnostic) bool { return beyond.MatchString(d.Message) }) {
			t.Errorf("%s: the schema says %v, reading it %v", name, bySchema, diags.Err())
		}
		if bySchema == nil {
			taken++
		} else {
			refused++
		}
	}
	if taken < 5 || refused < 15 {
		t.Errorf("%d were taken and %d refused", taken, refused)
	}
	page, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Contracts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, k := range newLanguage().contract.info().keys {
		if !strings.Contains(section, "`"+k.name+"`") || !strings.HasSuffix(k.doc, ".") {
			t.Errorf("%s is not described", k.name)
		}
	}
}
