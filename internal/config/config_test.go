package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write .env-example anew")

func TestEnvExampleNamesEverySetting(t *testing.T) {
	t.Parallel()
	const path = "../../.env-example"
	if *update {
		if err := os.WriteFile(path, []byte(Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Example(), string(got)); diff != "" {
		t.Errorf("run go test ./internal/config -update (-want +got):\n%s", diff)
	}
}

func TestAWrongSettingIsNamed(t *testing.T) {
	t.Setenv("LOG_LEVEL", "loud")
	t.Setenv("MAX_RETRIES", "-1")
	_, err := Load()
	if err == nil || !strings.Contains(err.Error(), `LOG_LEVEL is "loud", want debug, info, warn or error`) || !strings.Contains(err.Error(), "MAX_RETRIES") {
		t.Errorf("error is %v", err)
	}
}
