/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests, made with the Python package cryptography: all but the CA's for KEY_P256
 * of keys.h, and signed by CERT_CA. No program needs them to be valid.
 */
#pragma once

/* clang-format off */
#define CERT_CA \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBTjCB9qADAgECAhRG7Q7b3hwDNG6cdebn8/qXjeklBzAKBggqhkjOPQQDAjAN\n" \
        "MQswCQYDVQQDDAJjYTAeFw0yNjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMA0x\n" \
        "CzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqupapv6UAJD1\n" \
        "BV12XsIc8Fmranfuy5sPgxjaL3+vw9tIIeLDZZr+XIspOJyvLKX+qweKYlfWbrw1\n" \
        "hBUlqjeLDaM0MDIwDwYDVR0TAQH/BAUwAwEB/zAfBgNVHREEGDAWhhRzcGlmZmU6\n" \
        "Ly9leGFtcGxlLm9yZzAKBggqhkjOPQQDAgNHADBEAiBgdA1G07qUgJs3yKXP9A81\n" \
        "zB9wKGcCWzliwOUf5LwFZAIgVKb1DkF/Ad26JiRJckTud0VabJ7AFP6E3h1XkTLy\n" \
        "Taw=\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_LEAF \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBcTCCARigAwIBAgIUD3CALQrof8w7gkT5IjHhgtE8GxEwCgYIKoZIzj0EAwIw\n" \
        "DTELMAkGA1UEAwwCY2EwHhcNMjYwMTAxMDAwMDAwWhcNMjcwMzA0MDUwNjA3WjAP\n" \
        "MQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2\n" \
        "xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkL\n" \
        "JK2KRiMohYjlraNUMFIwDAYDVR0TAQH/BAIwADBCBgNVHREEOzA5ghBob3N0LmV4\n" \
        "YW1wbGUub3JnhiVzcGlmZmU6Ly9leGFtcGxlLm9yZy9ucy9hZ2VudHMvc2EvYm90\n" \
        "MAoGCCqGSM49BAMCA0cAMEQCIDPL5KgNZNXOI2jMvvfO71mz1yk7lDbYx1rwuqdy\n" \
        "DkrRAiBLor3zAXuRLjKjfoZ9BiAEXyMsQJ0L9XMCKf259bBAxA==\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_LEAF_THUMBPRINT "i6LpVZmuqQKVSQxtdZjSG7hhc2w3mJoeEEakSzeHLDU"

#define CERT_LEAF_NOT_AFTER 1804136767

#define CERT_NO_URI \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBSDCB8KADAgECAhQ6HuZWWTPUSRSURrfawIOpDajxwjAKBggqhkjOPQQDAjAN\n" \
        "MQswCQYDVQQDDAJjYTAgFw0yNjAxMDEwMDAwMDBaGA85OTk5MTIzMTIzNTk1OVow\n" \
        "DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABH/Nzidw9sRd\n" \
        "QYPL7m/bS3tYBzM1e+nvE7rPbjx70VRFx/FEzRu9m36HLN/tue659LNpXW6pCySt\n" \
        "ikYjKIWI5a2jLTArMAwGA1UdEwEB/wQCMAAwGwYDVR0RBBQwEoIQaG9zdC5leGFt\n" \
        "cGxlLm9yZzAKBggqhkjOPQQDAgNHADBEAiBF5VzfL622JDjN71Pw7WoWdmfy9SZP\n" \
        "evRswDtw4MnFXwIgUgTw3+ZnPKYvnK1ZgaLhnFl4R7F+6Csm4s6tmmjwSmc=\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_NO_NAMES \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBKzCB0aADAgECAhQKEzKIfccCgx6jrUuw4HTguHgF6TAKBggqhkjOPQQDAjAN\n" \
        "MQswCQYDVQQDDAJjYTAeFw0yNjAxMDEwMDAwMDBaFw0yNzAxMDEwMDAwMDBaMAwx\n" \
        "CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR/zc4ncPbEXUGD\n" \
        "y+5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpG\n" \
        "IyiFiOWtoxAwDjAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0kAMEYCIQCl2R/C\n" \
        "0w++X0FPlPAnz2V6aE3ovgO9R9FLB19SpqhUlwIhALyNsppcCVa90SvQoOYq1aGT\n" \
        "Gx5gHwzFjIJ8CZOVaFCS\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_TWO_URIS \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBZzCCAQygAwIBAgIUC/0gDr2721QKuwrgdgXuCSgV1mwwCgYIKoZIzj0EAwIw\n" \
        "DTELMAkGA1UEAwwCY2EwHhcNMjYwMTAxMDAwMDAwWhcNMjcwMTAxMDAwMDAwWjAM\n" \
        "MQowCAYDVQQDDAF4MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1B\n" \
        "g8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2K\n" \
        "RiMohYjlraNLMEkwDAYDVR0TAQH/BAIwADA5BgNVHREEMjAwhhZzcGlmZmU6Ly9l\n" \
        "eGFtcGxlLm9yZy9hhhZzcGlmZmU6Ly9leGFtcGxlLm9yZy9iMAoGCCqGSM49BAMC\n" \
        "A0kAMEYCIQCrRPCyy/d37CYMYJfZG4ivKEoykZlcBIfqmPFTPGvRCwIhALJW/Hoy\n" \
        "4ZiZ4bvmQhdvGYMtw6vOK4nOPrIYXAMAmBKQ\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_URI_NUL \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBUDCB9qADAgECAhRSq67/03v8KpE9EZ0FBua0cI9PwjAKBggqhkjOPQQDAjAN\n" \
        "MQswCQYDVQQDDAJjYTAeFw0yNjAxMDEwMDAwMDBaFw0yNzAxMDEwMDAwMDBaMAwx\n" \
        "CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR/zc4ncPbEXUGD\n" \
        "y+5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpG\n" \
        "IyiFiOWtozUwMzAMBgNVHRMBAf8EAjAAMCMGA1UdEQQcMBqGGHNwaWZmZTovL2V4\n" \
        "YW1wbGUub3JnL2EAYjAKBggqhkjOPQQDAgNJADBGAiEAoVpsHBP9wScykSjGCxjg\n" \
        "eMKeyCV6vQ+19uoTJzteyAMCIQD/W8y1URajcBkgmB2ZvIW0//SvZEIzmWXr1a1B\n" \
        "UN8XpQ==\n" \
        "-----END CERTIFICATE-----\n"

#define CERT_URI_LINE \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIBUjCB+qADAgECAhRTB03NvPOTPqHOXLb1DMYzFP54cTAKBggqhkjOPQQDAjAN\n" \
        "MQswCQYDVQQDDAJjYTAeFw0yNjAxMDEwMDAwMDBaFw0yNzAxMDEwMDAwMDBaMAwx\n" \
        "CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR/zc4ncPbEXUGD\n" \
        "y+5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpG\n" \
        "IyiFiOWtozkwNzAMBgNVHRMBAf8EAjAAMCcGA1UdEQQgMB6GHHNwaWZmZTovL2V4\n" \
        "YW1wbGUub3JnL2ENClg6IHkwCgYIKoZIzj0EAwIDRwAwRAIgDK1cgqNXMXyCnVFi\n" \
        "PoQ2AGfgIbNpX14shLsSrooc5AkCIBlH8vzlhSwuK+aKOmd5WnKgJY8Fs1x/x8SQ\n" \
        "fX12zOqO\n" \
        "-----END CERTIFICATE-----\n"
/* clang-format on */
