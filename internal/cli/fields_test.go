package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// fill sets all there is in a value, so that nothing is left out when it is
// written.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("{}"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1)
	default:
		v.SetInt(1)
	}
}

// keys are the names of the fields that a JSON value has, with those below them.
func keys(v any, at string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			name := strings.TrimPrefix(at+"."+k, ".")
			into[name] = true
			keys(below, name, into)
		}
	case []any:
		for _, one := range v {
			keys(one, at+"[]", into)
		}
	}
}

func namesOf(t *testing.T, text []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	into := map[string]bool{}
	keys(v, "", into)
	var all []string
	for k := range into {
		all = append(all, strings.TrimPrefix(strings.TrimPrefix(k, "[]"), "."))
	}
	slices.Sort(all)
	return all
}

// documentedFields are those of a part of docs/output.md.
func documentedFields(t *testing.T, part string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "output.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "<!-- "+part+" -->")
	text, _, ends := strings.Cut(text, "<!-- end of "+part+" -->")
	if !found || !ends {
		t.Fatalf("docs/output.md has no table of %s", part)
	}
	var all []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Split(strings.Trim(row[1], "`"), "`, `")...)
	}
	slices.Sort(all)
	return all
}

// TestFieldsForProgramsAreThoseOfTheDocs: a field that goes or gets another name
// breaks the programs of others.
func TestFieldsForProgramsAreThoseOfTheDocs(t *testing.T) {
	t.Parallel()
	for part, v := range map[string]any{"runs": &run.Run{}, "tasks": &run.Task{}, "workers": &client.Worker{}, "queues": &queueRow{}} {
		fill(reflect.ValueOf(v).Elem())
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(namesOf(t, raw), func(name string) bool { return strings.HasSuffix(name, ".x") }) // of maps
		if diff := cmp.Diff(documentedFields(t, part), got); diff != "" {
			t.Errorf("%s (-docs +code): %s", part, diff)
		}
	}
}

// TestCommandsPrintTheseFields, and a list when there is nothing.
func TestCommandsPrintTheseFields(t *testing.T) {
	t.Parallel()
	dir, srv := project(t, files), redistest.Embedded(t)
	tell := func(args ...string) string {
		t.Helper()
		out, errs, code := typed(t.Context(), t, "", append(args, "--redis", srv.URL, "--project", dir)...)
		if code != 0 {
			t.Fatalf("orchis %v: %d %s", args, code, errs)
		}
		return out
	}
	for _, command := range []string{"list", "workers", "queues"} {
		if out := tell(command, "-o", "json"); strings.TrimSpace(out) != "[]" {
			t.Errorf("orchis %s -o json prints %q of nothing", command, out)
		}
	}
	tell("run", filepath.Join(dir, "recipes", "ok.yaml"), "--progress", "quiet")
	for command, part := range map[string]string{"list": "runs", "queues": "queues"} {
		known := documentedFields(t, part)
		got := namesOf(t, []byte(tell(command, "-o", "json")))
		if len(got) == 0 {
			t.Errorf("orchis %s -o json prints nothing", command)
		}
		for _, name := range got {
			below := regexp.MustCompile(`^(inputs|outputs|labels)\.`).MatchString(name)
			if !below && !slices.Contains(known, name) {
				t.Errorf("orchis %s -o json has %q, which docs/output.md does not name", command, name)
			}
		}
	}
}
