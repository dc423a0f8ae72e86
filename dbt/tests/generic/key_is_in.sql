{# `relationships` for a key of several columns. #}
{% test key_is_in(model, columns, to) %}
SELECT {{ columns | join(', ') }} FROM {{ model }}
EXCEPT
SELECT {{ columns | join(', ') }} FROM {{ to }}
{% endtest %}
