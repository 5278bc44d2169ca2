package secret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestASecretComesFromAFileOrElseFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"FILE": "of the file\n", "BOTH": "file first", "LINES": "a\nb\n\n", "EMPTY": "", "HUGE": strings.Repeat("x", maxSecret+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "FOLDER"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ORCHIS_SECRET_BOTH", "environment")
	t.Setenv("ORCHIS_SECRET_VAR", "of the environment")
	t.Setenv("ORCHIS_SECRET_EMPTY", "never looked at")
	tests := []struct{ dir, name, want, err string }{
		{dir, "FILE", "of the file", ""},
		{dir, "BOTH", "file first", ""},
		{dir, "LINES", "a\nb\n", ""},
		{dir, "VAR", "of the environment", ""},
		{"", "VAR", "of the environment", ""},
		{dir, "NONE", "", "the worker has no secret NONE: the file " + filepath.Join(dir, "NONE") + " and the environment variable ORCHIS_SECRET_NONE must not be missing or empty"},
		{"", "NONE", "", "the worker has no secret NONE: the environment variable ORCHIS_SECRET_NONE must not be missing or empty"},
		{dir, "EMPTY", "", "the worker has no secret EMPTY"},
		{dir, "HUGE", "", "more than 65536 bytes"},
		{dir, "FOLDER", "", "not a regular file"},
		{dir, "../FILE", "", "no name for a secret"},
		{dir, "", "", "no name for a secret"},
	}
	for _, test := range tests {
		got, err := From(test.dir)(test.name)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s gives %q, %v", test.name, got, err)
		}
	}
}

func find(name string) (string, error) {
	if v, ok := map[string]string{"A": "alpha \"1\"", "B": "beta"}[name]; ok {
		return v, nil
	}
	return "", errors.New("no secret " + name)
}

func TestSecretsArePutWhereTheTicketSays(t *testing.T) {
	t.Parallel()
	ticket := Ticket{
		Inputs: json.RawMessage(`{"h":{"x":"Bearer ***"},"l":[1,"***",12345678901234567890],"evil":"${secrets.A} *** {\"secret\":\"A\"}"}`),
		Env:    json.RawMessage(`{"T":"***","U":"***"}`),
		Texts: json.RawMessage(`[{"at":["inputs","h","x"],"parts":[{"text":"Bearer "},{"secret":"A"}]},
			{"at":["inputs","l",1],"parts":[{"secret":"B"}]},{"at":["env","T"],"parts":[{"secret":"B"},{"text":"${secrets.A}"}]}]`),
	}
	values, err := ticket.Fill(find)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"evil":"${secrets.A} *** {\"secret\":\"A\"}","h":{"x":"Bearer alpha \"1\""},"l":[1,"beta",12345678901234567890]}`
	if diff := cmp.Diff(want, string(ticket.Inputs)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"T":"beta${secrets.A}","U":"***"}`, string(ticket.Env)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"A": "alpha \"1\"", "B": "beta"}, values); diff != "" {
		t.Error(diff)
	}
}

func TestATicketThatDoesNotFitItsSecretsIsRefused(t *testing.T) {
	t.Parallel()
	for texts, want := range map[string]string{
		`[{"at":["inputs","x"],"parts":[{"secret":"C"}]},{"at":["inputs","x"],"parts":[{"secret":"D"}]}]`: "no secret C\nno secret D",
		`[{"at":["inputs","y"],"parts":[{"secret":"A"}]}]`:                                                "no text at [inputs y]",
		`[{"at":["inputs","x","z"],"parts":[{"secret":"A"}]}]`:                                            "no text at",
		`[{"at":["inputs","l",7],"parts":[{"secret":"A"}]}]`:                                              "no text at",
		`[{"at":["inputs","l",-1],"parts":[{"secret":"A"}]}]`:                                             "no text at",
		`[{"at":["inputs","l"],"parts":[{"secret":"A"}]}]`:                                                "no text at",
		`[{"at":[],"parts":[{"secret":"A"}]}]`:                                                            "no text at",
		`[{"at":["handler"],"parts":[{"secret":"A"}]}]`:                                                   "no text at",
		`{"at":1}`: "read which secrets",
	} {
		ticket := Ticket{Inputs: json.RawMessage(`{"x":"***","l":["***"]}`), Texts: json.RawMessage(texts)}
		if _, err := ticket.Fill(find); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v", texts, err)
		}
	}
}

const canary = `p@ss/w+rd "x" & ü?`

func TestAMaskHidesAValueInItsForms(t *testing.T) {
	t.Parallel()
	m := NewMask(canary, "abc", "line one is long\nshort\nline three is long")
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + canary))
	for text, want := range map[string]string{
		"see " + canary + " there":                                          "see *** there",
		"abc stays":                                                         "abc stays",
		`{"a":"p@ss/w+rd \"x\" \u0026 ü?"}`:                                 `{"a":"***"}`,
		`{"a":"p@ss/w+rd \"x\" & ü?"}`:                                      `{"a":"***"}`,
		"q=p%40ss%2Fw%2Brd+%22x%22+%26+%C3%BC%3F":                           "q=***",
		"q=p%40ss%2fw%2brd+%22x%22+%26+%c3%bc%3f":                           "q=***",
		"/p@ss%2Fw+rd%20%22x%22%20&%20%C3%BC%3F":                            "/***",
		base64.StdEncoding.EncodeToString([]byte(canary)):                   "***",
		base64.RawURLEncoding.EncodeToString([]byte(canary)) + " " + canary: "*** ***",
		"line one is long":                                                  "***",
		" line three is long end":                                           " *** end",
		"short":                                                             "short",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
	if got := m.Text("Authorization: Basic " + basic); !strings.Contains(got, "***") || len(got) > len("Authorization: Basic ")+len("dXNlcj")+8 {
		t.Errorf("within a longer text it becomes %s", got)
	}
	var none *Mask
	if none.Text(canary) != canary || none.Begun([]byte(canary)) != 0 {
		t.Error("no mask hides something")
	}
}

func TestAMaskHidesInJSON(t *testing.T) {
	t.Parallel()
	m := NewMask("123456", "name-x")
	got, err := m.JSON(json.RawMessage(`{"a":[123456,1234567,12,true,null,"1","x 123456 y"],"b":{"name-x":1.50},"\u0031\u00323456":"n\u0061me-x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"***":"***","a":["***","***7",12,true,null,"1","x *** y"],"b":{"***":1.50}}`; string(got) != want {
		t.Errorf("it becomes %s", got)
	}
}

func TestTheBeginningOfAValueIsNoticed(t *testing.T) {
	t.Parallel()
	m := NewMask("secret-value")
	for text, want := range map[string]int{"xx secr": 4, "secret-valu": 11, "secret-value": 0, "s": 1, "": 0, "sesecret-": 7, "none": 0} {
		if got := m.Begun([]byte(text)); got != want {
			t.Errorf("of %q begun are %d, want %d", text, got, want)
		}
	}
	long := strings.Repeat("x", CutAt)
	if got := m.Text(long + "secret-va"); got != long+"***" {
		t.Errorf("a text that was cut off ends with %s", got[CutAt-3:])
	}
	if got := m.Text("x secret-va"); got != "x secret-va" {
		t.Errorf("a text that was not cut off becomes %s", got)
	}
}
