{# A version that ends before it begins, or after the next one begins; one that is still valid has no next one. #}
{% test no_overlapping_versions(model, key) %}
SELECT *
FROM (
    SELECT {{ key | join(', ') }}, valid_from, valid_to,
           LEAD(valid_from) OVER (PARTITION BY {{ key | join(', ') }} ORDER BY valid_from) AS next_from
    FROM {{ model }}
) AS version
WHERE valid_to <= valid_from OR valid_to > next_from OR (valid_to IS NULL AND next_from IS NOT NULL)
{% endtest %}
