// Package config reads the service's settings.
package config

import (
	"fmt"
	"strings"

	"github.com/go-playground/validator/v10"
	"github.com/spf13/viper"
)

// Settings are all that can be set, by the environment or a file.
type Settings struct {
	Listen   string `mapstructure:"listen" validate:"required"`
	Postgres string `mapstructure:"postgres"`
	MySQL    string `mapstructure:"mysql"`
	NATS     string `mapstructure:"nats"`
	Collect  string `mapstructure:"collect"`
}

// Load reads them and checks that they can be used.
func Load() (Settings, error) {
	v := viper.New()
	v.SetEnvPrefix("service")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()
	for name, value := range map[string]string{"listen": ":8080", "postgres": "", "mysql": "", "nats": "", "collect": ""} {
		v.SetDefault(name, value)
	}
	var s Settings
	if err := v.Unmarshal(&s); err != nil {
		return s, fmt.Errorf("read the settings: %w", err)
	}
	return s, validator.New().Struct(s)
}
