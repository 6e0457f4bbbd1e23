package config

import "testing"

func TestLoad(t *testing.T) {
	t.Setenv("SERVICE_LISTEN", "localhost:1234")
	s, err := Load()
	if err != nil || s.Listen != "localhost:1234" {
		t.Fatalf("got %+v, %v", s, err)
	}
}
