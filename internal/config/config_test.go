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

func TestTheEnvironmentGoesBeforeTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "LOG_LEVEL=debug\nMAX_RETRIES=7\nREDIS_URL=redis://file\n"
	if err := os.WriteFile(".env", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LOG_LEVEL", "MAX_RETRIES", "REDIS_URL"} {
		t.Setenv(name, "") // forgotten again at the end of the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("LOG_LEVEL", "warn")
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.LogLevel != "warn" || s.MaxRetries != 7 || s.RedisURL != "redis://file" || s.Slots != 0 {
		t.Errorf("settings are %+v", s)
	}
	for name, want := range map[string]string{"LOG_LEVEL": "environment", "MAX_RETRIES": ".env", "ORCHIS_SLOTS": "default"} {
		if got := s.Source(name); got != want {
			t.Errorf("%s comes from %s, want %s", name, got, want)
		}
	}
}

func TestASecretMayStandInAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("url", []byte("redis://:pw@h:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_URL_FILE", "url")
	s, err := Load()
	if err != nil || s.RedisURL != "redis://:pw@h:1" {
		t.Errorf("the URL is %q, %v", s.RedisURL, err)
	}
}
