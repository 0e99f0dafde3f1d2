/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys for tests: KEY_P256 is that of RFC 7515 A.3, KEY_ED25519 that of RFC 8037 A, the
 * others were made for nothing else. JWKs and thumbprints were computed from them
 * with the Python package cryptography.
 */
#pragma once

/* clang-format off */
#define KEY_P256_PKCS8 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n" \
        "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n" \
        "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_P256_JWK \
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tu" \
        "s9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d" \
        "\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}"

#define KEY_P256_PUBLIC \
        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tu" \
        "s9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

#define KEY_P256_THUMBPRINT "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"

#define KEY_P384_PKCS8 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBHkcw7y0g5rXtMd7wf\n" \
        "Sv68UDplQdiDH3M7szMmHowSxpbxsX0Lp/K7S1Uj5n4Ah42hZANiAAS7UIy3nCA+\n" \
        "wNKWRn7tns5ZAHGKr172E1wcfTMqlLHhMll11ToEB5JIGlYPqJIHWaChmNP7wpOb\n" \
        "UqEQj8K5MO7bfKtv107Sgr9JrijMqQ1ggWQ6Cdwr2OE9L15l29iAslw=\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_P384_JWK \
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"u1CMt5wgPsDSlkZ-7Z7OWQBxiq9e9hNcH" \
        "H0zKpSx4TJZddU6BAeSSBpWD6iSB1mg\",\"y\":\"oZjT-8KTm1KhEI_CuTDu23yrb9" \
        "dO0oK_Sa4ozKkNYIFkOgncK9jhPS9eZdvYgLJc\",\"d\":\"R5HMO8tIOa17THe8H0r" \
        "-vFA6ZUHYgx9zO7MzJh6MEsaW8bF9C6fyu0tVI-Z-AIeN\"}"

#define KEY_P384_PUBLIC \
        "{\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\"u1CMt5wgPsDSlkZ-7Z7OWQBxiq9e9hNcH" \
        "H0zKpSx4TJZddU6BAeSSBpWD6iSB1mg\",\"y\":\"oZjT-8KTm1KhEI_CuTDu23yrb9" \
        "dO0oK_Sa4ozKkNYIFkOgncK9jhPS9eZdvYgLJc\"}"

#define KEY_P384_THUMBPRINT "EZ4nRkuKjNHfZfDK9kPl76czMNIrtUSzW0NSM-d8lPo"

#define KEY_RSA_PKCS8 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDxj8Cg+It3BjdT\n" \
        "+rQVyqms6OC/tcdPM442neMr210bwjbV5Et2ldWxa5tB69tVP14o5OsWkdcK50HX\n" \
        "dKt8Yk9YbmtUkvOxdWMAg0b6Br1U+1g0egAbyNLknequiJk1R2Q+PF23UycldSlQ\n" \
        "UFLqd/1iiQ50kveLZZ2ZD4pXIzfcHRz+JpXGjc1XrrmFyc8189I+iws40ZlseDdt\n" \
        "HNCxAQpaOEq9PdpBjS732XE01muhLDgXtmjNrqRS2TPUg0FZuBkiD266sutj/+PW\n" \
        "4b/vYSfKt9LQdBSK/HOhe04afypXiF9C8lowrdAwSKdoSAg9ue2xz4ebXKurQtHx\n" \
        "5RnZSFVrAgMBAAECggEAGE9ChXCTKHaZrtE2D6iw4VPLpRS4FW0MzMugMakGemVV\n" \
        "0LoEK3pHYm7VKxHUpYRBB5XctWLBOg8Cfe+h1QdXu4CGkKD79p888q+YvvoFUmi7\n" \
        "pwb4En5oACsxk5WaRYBabYufAB9VezGKkiiN5PFlBeY2bDOLcfMspFtUrWbql4is\n" \
        "cuxrDC6a1Igu6g5fQelg1ab2B1ytBVC85OQF5mAoGT3j8QjQH6bDJ0qQx4Kj4NxD\n" \
        "8l/cKRiFYkjME/Ei4oHtBVdS+3l5nuXaFWY5hL7vVr6iu8GZoJGagWHuv84XFqX2\n" \
        "ejE8n5dZMRddTtExWkTmuai3k84K4UyKFo6UOYbd4QKBgQD92qWDkdGspBtW5jhQ\n" \
        "YTTRVl0ro3pEtWqFLcf2YktiN6gm0v6O6jmRlBjblHhvDaqgecBBZ+6vH5TraRMa\n" \
        "VAZVn4RTvj2wqo7u8z94k/9imWAYxakJn3T/cxvDo5HZW3mJ6vw5t4/60NuUENdq\n" \
        "eEr2GbgcjNgFfG65nVXvo5+xCQKBgQDzmoESfkO8LWqf8TYz2s1wk9QXzSFWPfwk\n" \
        "xFrTVMM5RqLHCGqRN3AS8j3GKyQ6LrxuSu4cffhTLgG2pwLk3m7+aIYSn3BL0ISc\n" \
        "XhjjfHyZ8GSHuOfeGD+T8hAlPo96W+QXw3cQyRPDSys0EZrJ/WUy6HX54HjZPNm1\n" \
        "TwWFcofT0wKBgCWdc28WeVo6iu6KeIe4j6oBQRcJR0HNG/aV/Q5OLFtmYd024I9u\n" \
        "t48Rwckvq9TQ0pqqz8khTGXYqSlkzXbWQoYHeAUsqFl4PGu90Ybdbzc+ANZK26xY\n" \
        "W27KsK+Bmkf53P2Ju0wWHhiNQCwlfrYBEyJ6VySr3gqaEJIidSxoM255AoGBAJaN\n" \
        "G04JmOUYkHgOxDfh9uungQHAteSt5EH41EUdcpXYUMt/KRVcVLhw27q4eOg4cB4d\n" \
        "0vDq7WjC2y4+I2y9B43VnV6vCODiGsLk6K7XBc7Boe+7WBmLlOdjR5UtB9FQLzR8\n" \
        "if5mtv8QWsAQTUCeiUegISFwGF/x2n7SOpBRyx4fAoGBAJ2vI/pjNPkF3p2Y6U4C\n" \
        "WAef203ZIgYKfleIT+OTp0xr2AfeXjRXacG7xJDLyH6JyADZxJEHdRvymAF3yF+n\n" \
        "Pi/xY4bETy8WDBb57D/JpqeGWUdiSHStH6CEugKUmvAHbiLfW9l/A2Fe+tv+RMAE\n" \
        "TOJiAisYtOhKxtZkG+rRcjKI\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_RSA_JWK \
        "{\"kty\":\"RSA\",\"n\":\"8Y_AoPiLdwY3U_q0FcqprOjgv7XHTzOONp3jK9tdG8I21e" \
        "RLdpXVsWubQevbVT9eKOTrFpHXCudB13SrfGJPWG5rVJLzsXVjAING-ga9VPtYNH" \
        "oAG8jS5J3qroiZNUdkPjxdt1MnJXUpUFBS6nf9YokOdJL3i2WdmQ-KVyM33B0c_i" \
        "aVxo3NV665hcnPNfPSPosLONGZbHg3bRzQsQEKWjhKvT3aQY0u99lxNNZroSw4F7" \
        "Zoza6kUtkz1INBWbgZIg9uurLrY__j1uG_72EnyrfS0HQUivxzoXtOGn8qV4hfQv" \
        "JaMK3QMEinaEgIPbntsc-Hm1yrq0LR8eUZ2UhVaw\",\"e\":\"AQAB\",\"d\":\"GE9ChX" \
        "CTKHaZrtE2D6iw4VPLpRS4FW0MzMugMakGemVV0LoEK3pHYm7VKxHUpYRBB5XctW" \
        "LBOg8Cfe-h1QdXu4CGkKD79p888q-YvvoFUmi7pwb4En5oACsxk5WaRYBabYufAB" \
        "9VezGKkiiN5PFlBeY2bDOLcfMspFtUrWbql4iscuxrDC6a1Igu6g5fQelg1ab2B1" \
        "ytBVC85OQF5mAoGT3j8QjQH6bDJ0qQx4Kj4NxD8l_cKRiFYkjME_Ei4oHtBVdS-3" \
        "l5nuXaFWY5hL7vVr6iu8GZoJGagWHuv84XFqX2ejE8n5dZMRddTtExWkTmuai3k8" \
        "4K4UyKFo6UOYbd4Q\",\"p\":\"_dqlg5HRrKQbVuY4UGE00VZdK6N6RLVqhS3H9mJLY" \
        "jeoJtL-juo5kZQY25R4bw2qoHnAQWfurx-U62kTGlQGVZ-EU749sKqO7vM_eJP_Y" \
        "plgGMWpCZ90_3Mbw6OR2Vt5ier8ObeP-tDblBDXanhK9hm4HIzYBXxuuZ1V76Ofs" \
        "Qk\",\"q\":\"85qBEn5DvC1qn_E2M9rNcJPUF80hVj38JMRa01TDOUaixwhqkTdwEvI" \
        "9xiskOi68bkruHH34Uy4BtqcC5N5u_miGEp9wS9CEnF4Y43x8mfBkh7jn3hg_k_I" \
        "QJT6PelvkF8N3EMkTw0srNBGayf1lMuh1-eB42TzZtU8FhXKH09M\",\"dp\":\"JZ1z" \
        "bxZ5WjqK7op4h7iPqgFBFwlHQc0b9pX9Dk4sW2Zh3Tbgj263jxHByS-r1NDSmqrP" \
        "ySFMZdipKWTNdtZChgd4BSyoWXg8a73Rht1vNz4A1krbrFhbbsqwr4GaR_nc_Ym7" \
        "TBYeGI1ALCV-tgETInpXJKveCpoQkiJ1LGgzbnk\",\"dq\":\"lo0bTgmY5RiQeA7EN" \
        "-H266eBAcC15K3kQfjURR1yldhQy38pFVxUuHDburh46DhwHh3S8OrtaMLbLj4jb" \
        "L0HjdWdXq8I4OIawuTortcFzsGh77tYGYuU52NHlS0H0VAvNHyJ_ma2_xBawBBNQ" \
        "J6JR6AhIXAYX_HaftI6kFHLHh8\",\"qi\":\"na8j-mM0-QXenZjpTgJYB5_bTdkiBg" \
        "p-V4hP45OnTGvYB95eNFdpwbvEkMvIfonIANnEkQd1G_KYAXfIX6c-L_FjhsRPLx" \
        "YMFvnsP8mmp4ZZR2JIdK0foIS6ApSa8AduIt9b2X8DYV762_5EwARM4mICKxi06E" \
        "rG1mQb6tFyMog\"}"

#define KEY_RSA_PUBLIC \
        "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"8Y_AoPiLdwY3U_q0FcqprOjgv7XHTzOONp3" \
        "jK9tdG8I21eRLdpXVsWubQevbVT9eKOTrFpHXCudB13SrfGJPWG5rVJLzsXVjAIN" \
        "G-ga9VPtYNHoAG8jS5J3qroiZNUdkPjxdt1MnJXUpUFBS6nf9YokOdJL3i2WdmQ-" \
        "KVyM33B0c_iaVxo3NV665hcnPNfPSPosLONGZbHg3bRzQsQEKWjhKvT3aQY0u99l" \
        "xNNZroSw4F7Zoza6kUtkz1INBWbgZIg9uurLrY__j1uG_72EnyrfS0HQUivxzoXt" \
        "OGn8qV4hfQvJaMK3QMEinaEgIPbntsc-Hm1yrq0LR8eUZ2UhVaw\"}"

#define KEY_RSA_THUMBPRINT "IcgZIYzhiq7xBltyCVTI6dN2WjHFBihXUxoZ2g2oSsU"

#define KEY_ED25519_PKCS8 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_ED25519_JWK \
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapi" \
        "MlrwIaaPcHURo\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"" \
        "}"

#define KEY_ED25519_PUBLIC \
        "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapi" \
        "MlrwIaaPcHURo\"}"

#define KEY_ED25519_THUMBPRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

#define KEY_P256_SEC1 \
        "-----BEGIN EC PARAMETERS-----\n" \
        "BggqhkjOPQMBBw==\n" \
        "-----END EC PARAMETERS-----\n" \
        "-----BEGIN EC PRIVATE KEY-----\n" \
        "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n" \
        "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n" \
        "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n" \
        "-----END EC PRIVATE KEY-----\n"

#define KEY_RSA_PKCS1 \
        "-----BEGIN RSA PRIVATE KEY-----\n" \
        "MIIEpAIBAAKCAQEA8Y/AoPiLdwY3U/q0FcqprOjgv7XHTzOONp3jK9tdG8I21eRL\n" \
        "dpXVsWubQevbVT9eKOTrFpHXCudB13SrfGJPWG5rVJLzsXVjAING+ga9VPtYNHoA\n" \
        "G8jS5J3qroiZNUdkPjxdt1MnJXUpUFBS6nf9YokOdJL3i2WdmQ+KVyM33B0c/iaV\n" \
        "xo3NV665hcnPNfPSPosLONGZbHg3bRzQsQEKWjhKvT3aQY0u99lxNNZroSw4F7Zo\n" \
        "za6kUtkz1INBWbgZIg9uurLrY//j1uG/72EnyrfS0HQUivxzoXtOGn8qV4hfQvJa\n" \
        "MK3QMEinaEgIPbntsc+Hm1yrq0LR8eUZ2UhVawIDAQABAoIBABhPQoVwkyh2ma7R\n" \
        "Ng+osOFTy6UUuBVtDMzLoDGpBnplVdC6BCt6R2Ju1SsR1KWEQQeV3LViwToPAn3v\n" \
        "odUHV7uAhpCg+/afPPKvmL76BVJou6cG+BJ+aAArMZOVmkWAWm2LnwAfVXsxipIo\n" \
        "jeTxZQXmNmwzi3HzLKRbVK1m6peIrHLsawwumtSILuoOX0HpYNWm9gdcrQVQvOTk\n" \
        "BeZgKBk94/EI0B+mwydKkMeCo+DcQ/Jf3CkYhWJIzBPxIuKB7QVXUvt5eZ7l2hVm\n" \
        "OYS+71a+orvBmaCRmoFh7r/OFxal9noxPJ+XWTEXXU7RMVpE5rmot5POCuFMihaO\n" \
        "lDmG3eECgYEA/dqlg5HRrKQbVuY4UGE00VZdK6N6RLVqhS3H9mJLYjeoJtL+juo5\n" \
        "kZQY25R4bw2qoHnAQWfurx+U62kTGlQGVZ+EU749sKqO7vM/eJP/YplgGMWpCZ90\n" \
        "/3Mbw6OR2Vt5ier8ObeP+tDblBDXanhK9hm4HIzYBXxuuZ1V76OfsQkCgYEA85qB\n" \
        "En5DvC1qn/E2M9rNcJPUF80hVj38JMRa01TDOUaixwhqkTdwEvI9xiskOi68bkru\n" \
        "HH34Uy4BtqcC5N5u/miGEp9wS9CEnF4Y43x8mfBkh7jn3hg/k/IQJT6PelvkF8N3\n" \
        "EMkTw0srNBGayf1lMuh1+eB42TzZtU8FhXKH09MCgYAlnXNvFnlaOoruiniHuI+q\n" \
        "AUEXCUdBzRv2lf0OTixbZmHdNuCPbrePEcHJL6vU0NKaqs/JIUxl2KkpZM121kKG\n" \
        "B3gFLKhZeDxrvdGG3W83PgDWStusWFtuyrCvgZpH+dz9ibtMFh4YjUAsJX62ARMi\n" \
        "elckq94KmhCSInUsaDNueQKBgQCWjRtOCZjlGJB4DsQ34fbrp4EBwLXkreRB+NRF\n" \
        "HXKV2FDLfykVXFS4cNu6uHjoOHAeHdLw6u1owtsuPiNsvQeN1Z1erwjg4hrC5Oiu\n" \
        "1wXOwaHvu1gZi5TnY0eVLQfRUC80fIn+Zrb/EFrAEE1AnolHoCEhcBhf8dp+0jqQ\n" \
        "UcseHwKBgQCdryP6YzT5Bd6dmOlOAlgHn9tN2SIGCn5XiE/jk6dMa9gH3l40V2nB\n" \
        "u8SQy8h+icgA2cSRB3Ub8pgBd8hfpz4v8WOGxE8vFgwW+ew/yaanhllHYkh0rR+g\n" \
        "hLoClJrwB24i31vZfwNhXvrb/kTABEziYgIrGLToSsbWZBvq0XIyiA==\n" \
        "-----END RSA PRIVATE KEY-----\n"

#define KEY_P256_ENCRYPTED \
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" \
        "MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAiSrHsN7pcpEgIBATAM\n" \
        "BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQbAkdTxZZxn2bjldpadMYGgSBkJ8n\n" \
        "Qy/IPxsQGSJGjPDeYwWjAF6oQra5mKD/uGisw0jp+tNbCHdxegeQcZli7WKVoi7b\n" \
        "3ZRf5H4alm9AXu12za1xq6216b4ihpE4gKm7rVtgysyDfmH3qLeoW7gaYZdGNnrM\n" \
        "ayMNpXvrCbD6BRwUQVyJefnuWFRk+ZUn1b6HAfQkuKYiTwSw/a+RtlA6PlyDLg==\n" \
        "-----END ENCRYPTED PRIVATE KEY-----\n"

#define KEY_P256_ENCRYPTED_OLD \
        "-----BEGIN EC PRIVATE KEY-----\n" \
        "Proc-Type: 4,ENCRYPTED\n" \
        "DEK-Info: AES-128-CBC,7F25B2BE9D5277D58C999A3EAB579919\n" \
        "\n" \
        "VqI36RkFmL0Pv5cs4iXqDSpTf1iY6B2JxaZBvBINTmhwftALWosMGw+rptfbmDHI\n" \
        "zoOecVznlhxzDeOGmaPlA60tHBthbycGMuYKEi3WQfd0NmbfYoOlHPWOGShiGBJb\n" \
        "odzsC/z5083P6ZY+TEr1remn6ojpX16MH8CktDaGYjk=\n" \
        "-----END EC PRIVATE KEY-----\n"

#define KEY_P521 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAkU6yoVfL7uYj8y7R\n" \
        "miFIvOITWWKgj2lNGmju18AdrJNLarkFyz8D2LDE5r76snkTO9lOsN16fFoQUS+s\n" \
        "ozb983ihgYkDgYYABAHqutN+yeHGa6chLnWNkKngYhN9YskJBexw1Avfs4IgrU+S\n" \
        "5CGGbHWyYym5hZdDUUv39gDMPYdqWsynrJ/4xhgXCwBknsO6gFp+GGtRfs8nJISq\n" \
        "Yd6i9917eC/mHHcisJ4/9tGBU4CPG//jDmhSFq28YTbS9DccBFrtha+mb+b7fDqf\n" \
        "YA==\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_SECP256K1 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQg1UYOARo18q4RR4hR2Zec\n" \
        "bIv1Om8FJ8NDqfEFEDSI/WOhRANCAAQO64u+uvGylTBu0cbK138byJ8XyzfUjJ8g\n" \
        "f+QwCoqTCZtVlxnF00OoerkbT8bo3BqSQJ/ApmjXvoK51XypVb8l\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_RSA_SHORT \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAMnQ+riOD8uFm5qp\n" \
        "t4obBBBYm6BG/exV1gTdht/IHHs50yP9CMhh0dmEbLgU3y/Kg9ZJBIFi/tTm1oSj\n" \
        "OvU+htmWywqPGqVbSRphcMztYmNFqge6vA6N+2EHEdCqIr9zvrxEGtF2RlC5R27p\n" \
        "CFF0U8809mbA5G0wNwWt0cveeY3PAgMBAAECgYEAhdzV0MB5/Zb7pVTZZwOQaH89\n" \
        "isxL9QziTovZwGltatbqE77sqm0n0k2iB1/gwkRjuijokiHlwbXzqDrVCoKU0mTN\n" \
        "M8RsT7Ky6mUyJWUJXlU3T0Dd4v4s3osujWJ+FZRKUhM8ZgHmp3g7s582pQZvsu7r\n" \
        "sw924nFC07QiWbFHrtECQQDwfMMNZv/e41Id2DITtvP8mud1vl8ztLNYCxOMGXcD\n" \
        "pidGLehZf6FQ2JM4we1+HP9WTW3W1JyEt1zbs4iBvuabAkEA1tWhqNQeShPMnxAO\n" \
        "aVAEB4DmrEF+PK2ds0iZbFFLcGok5qkemHqjBhbyPQ8FAtMHzQxATp/sIsr/yR6L\n" \
        "/TAO3QJAY0Y9htTUH4Cbr3JGCdlmkwqnLfXuevvHZTr9UMJaXQlEATaGShvjzen5\n" \
        "rF5x2bPCvC+ufha6nhbLoG5WlajmrQJAPpnnzoNpBBr64ErUeDmZwvn7vawj9dh9\n" \
        "gJWiJ18VBX/YmuIjCTmLMaYUFli/FBCcUFLGlmKhc44FtPxSvId5fQJACNRa974v\n" \
        "SaejEJGVy87qNGx/w6QtN5lx1iIMR/Ahn8RsYZCw8HUF2zIGhpDw6kU4TPOMXH/2\n" \
        "KuxHeh0xLMpdVA==\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_X25519 \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MC4CAQAwBQYDK2VuBCIEIDBkIOxuGxEX4q/KiZc4Uhr0X+KknihDw59ilsR0eWV9\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_PSS \
        "-----BEGIN PRIVATE KEY-----\n" \
        "MIIEuwIBADALBgkqhkiG9w0BAQoEggSnMIIEowIBAAKCAQEA1DWpUC9Uun/VB+V6\n" \
        "NebEXIrhTf2njtgggLVOg1RbTqlOw+YgLMcam/iNOhGohvGWzSSzOIG/GdB+Ai+B\n" \
        "xgU6pFOvvT2r1x8UW5gdQ08TuZcGOrCWZ0bdm4x3Aagm5ZOdXUHPgngdy+/U0oIL\n" \
        "es3tTomH/rR7Dz3qFLtiohbyjZzohIIpQjnvi8guRr8UGn5jUar9+fIxR0PBDsm/\n" \
        "qOJIOh4iId9DDKjleo8HL7NZkz4Jry2hdgy0me9PuaBs+AUmTmO7wbi5kSMOV/Ho\n" \
        "aXqiXjt5eCjcfq017M/sT74QOQh/OHmV/+pt4jQreUDaak5QY9SFCGC8Dle+EFMW\n" \
        "t/BqywIDAQABAoIBAD3+TS+lHBn9pTTQ16Juf3fPhKFdlDkZL2maTcz09FWnBWEa\n" \
        "VdTu93mQI2XO6c4+PoFAkvDTionWjDFEQqOgPHDsF79viEdoh3B4oDfdHpSNp562\n" \
        "nsGeBLhf0RZVUsOnm4W2Z5IkWAQPVLuIjST7irNyXx3MCNU7j6ot0dMrZAF1SG3v\n" \
        "XRtX094cu0OTNnXMzfyufQsb+Bj0ecPNiBKZqZrsvNeQfAnkaGgvVN5vaw8rSSY+\n" \
        "x1rUX1iuKQqzGmUus/pBHankwgtU4Mu7pnjI2p6v0L8X5qbTSvPFtbxB1H543seI\n" \
        "zmwwM+AydGt1DAPLVh26aqOoy20VC1glIHikpvkCgYEA9CZJ/Ix/2IHrvMuTNrRf\n" \
        "RBiAzcA890hTpJqBvh8xX0rUd56snISl4la3BDyLHckC6EmLgo5qFb/MXB4YO5F2\n" \
        "sAzoWrlRJQHmlRmsaHZ19heutKlC+6Wd48dJBFQB38lZ3F9zraMkw/P8BOmL/ZYi\n" \
        "g5GbT/dQqnmqi2mb3fi9eukCgYEA3oJ/nev7VszhSQyH60PH0twsrCR8zbrDcQD7\n" \
        "vplz4W6odwW16/hU0FWmDkBuxGWFP/vA8mda0HjkzIMDiP+wmnc/JHlhMkQXMw5N\n" \
        "fjthGm80xfIrYQWj9YeMurH6bClpQzRGN6rmHXQAWBAjXrg4bHyj3XodfFGX27cb\n" \
        "+r2Xv5MCgYEAyy92UWxoFToCgwt0x4kS42v0/cZntnAF1C4VnbD9+M0gxzBRfKzU\n" \
        "FOqPw0HTkQUxmzlhllSJKvKE04DkL+bePKNxV9d0FXVgfWNxXTqA7z5EUeuvaBgr\n" \
        "r12xgZ2cNa6vTzxM3Auy1DUf3sKyk2c38ADknYc4Jbe9W+qXIgMZRckCgYBJ4Cv8\n" \
        "w7/EFuvpc/agnvV2RdGzKb4iFBMVrszmgE5gF3xpYAUBnoaSUQ18B9p+7HHsR2rN\n" \
        "UJFvS+QzHoCK+NGqx1K4inBB3yeQtPv3oEFiJG/yFLBgWx4Pw/xuc+8AAFPJk06I\n" \
        "5v3V45DFrD4CEcnyAwPo4cVuZCy2Lzpj6pS6bwKBgCLdCJnFFAUtMnubqXnq/tkf\n" \
        "u95GOcEmrsBkm786JpwVxOjhTkQkdJDUN7tcfaB9JwEE7G/L+pQDP1dLs+At42QK\n" \
        "Q9HkWoaUndLiUyExGqlm4v/uzKyVz7dg5mD5G/EYhBcP0NLJgLE8tp/kLw4wnrji\n" \
        "+oECwqBgAaPiTDQiaZVz\n" \
        "-----END PRIVATE KEY-----\n"

#define KEY_P256_PUBLIC_PEM \
        "-----BEGIN PUBLIC KEY-----\n" \
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n" \
        "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n" \
        "-----END PUBLIC KEY-----\n"
/* clang-format on */
